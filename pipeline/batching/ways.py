"""Which way each network of this process goes on its GPU, for whoever watches it.

Imports nothing heavy, so that a child's heartbeat can look while torch is still being loaded.
"""

from __future__ import annotations

from schemas.device import Way

_ways: dict[str, Way] = {}
_slowed: set[str] = set()


def note(network: str, way: Way, *, slowed: bool = False) -> None:
    """Remember the way of a network, the slowest of its batch sizes.

    Args:
        slowed: it could not go the way that was tried first.
    """
    _ways[network] = way
    (_slowed.add if slowed else _slowed.discard)(network)


def ways() -> dict[str, Way]:
    """The networks by now, by their names."""
    return _ways.copy()


def slowed() -> list[str]:
    """Those that go a slower way than was tried first."""
    return sorted(_slowed.copy())
