"""The engines that this release knows by name, for those who may not import the pipeline."""

from __future__ import annotations

ENGINES = ("viseme", "musetalk", "musetalk-fast", "wav2lip", "duix")
"""In the order of the README; the first is the default. Whether one can run here, its worker says:
it may lack weights."""
