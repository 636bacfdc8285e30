"""What the commands share on one machine: terminal, files, and the embedded servers."""
