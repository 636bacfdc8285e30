"""From an admitted job to its one outcome."""
