"""Which way each network of this process goes on its GPU, for whoever watches it.

Imports nothing heavy, so that a child's heartbeat can look while torch is still being loaded.
"""

from __future__ import annotations

from schemas.device import Way

_ways: dict[str, Way] = {}


def note(network: str, way: Way) -> None:
    """Remember the way of a network, the slowest of its batch sizes."""
    _ways[network] = way


def ways() -> dict[str, Way]:
    """The networks by now, by their names."""
    return _ways.copy()
