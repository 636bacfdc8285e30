"""Films that a device's encoder lost in their midst, and how many are enough."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass

PATIENCE = 3
"""Times in a row that films are lost until the processors encode for good: a film that is lost is
painted twice."""

_log = logging.getLogger(__name__)


class Lost(Exception):
    """The device's encoder failed in the midst of a film, which is to be made once more."""


@dataclass(slots=True)
class _Count:
    """Of one device."""

    lost: int = 0
    """Times; several films that are lost at one time count once."""
    mended: int = 0
    """What it was when a film last came to its end."""


_counts: dict[str, _Count] = {}
_lock = threading.Lock()


def begin(device: str) -> int:
    """A film begins; what `lose` is to be told if it is lost."""
    with _lock:
        return _counts.setdefault(device, _Count()).lost


def lose(device: str, began: int) -> None:
    """A film was lost that `begin` began."""
    with _lock:
        count = _counts[device]
        if count.lost != began:
            return
        count.lost += 1
        over = count.lost - count.mended == PATIENCE
    if over:
        _log.warning("videos are encoded on the processors: %s lost %s in a row", device, PATIENCE)


def end(device: str) -> None:
    """A film came to its end."""
    with _lock:
        count = _counts[device]
        count.mended = count.lost


def steady(device: str) -> bool:
    """Whether a device may go on encoding."""
    with _lock:
        count = _counts.get(device)
        return count is None or count.lost - count.mended < PATIENCE
