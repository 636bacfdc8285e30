"""Where the container is: told to this process once, before its engines are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Place:
    """One container."""

    url: str
    """`http://host:port`."""
    data: Path
    """The folder that it shares."""


_place = [Place("http://localhost:8383", Path("/tmp/face2face"))]


def configure(url: str, data: Path) -> None:
    """Say where the container is; the caller read it from its settings."""
    _place[0] = Place(url, data)


def place() -> Place:
    """Where it is."""
    return _place[0]
