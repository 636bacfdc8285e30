"""One pull of weights at a time in a folder, whoever asks: replicas often share one volume."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

Announce = Callable[[str], None]
"""Say one sentence to the person who pulls."""


@contextmanager
def alone(folder: Path, announce: Announce, unfinished: str) -> Iterator[None]:
    """Work in a folder alone; another pull that is at it is waited for.

    Args:
        announce: told when it is waited for.
        unfinished: glob of what a pull leaves there that was killed; it is removed, as its room
            may be needed.

    Raises:
        OSError: the folder cannot be written, or its file system has no locks.
    """
    with (folder / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            announce(f"another pull is at work in {folder}: waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        for left in folder.glob(unfinished):
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        yield
