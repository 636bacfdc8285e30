"""What replicas that died left in scratch: told by their locks, and removed.

A lock and no process id says who is alive, because ids mean nothing across containers that share
a volume. Only folders of our shape are ever touched; links are removed, never followed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import time
from pathlib import Path

import structlog

OURS = re.compile(r"replica-[0-9a-f]{16}")
LOCK = ".lock"
log = structlog.get_logger("consumer.scratch")


def sweep_others(root: Path, own: Path, max_age_s: float) -> None:
    """Remove the folders of dead replicas.

    Args:
        max_age_s: how long a folder without a lock may be on its way in or out.
    """
    with contextlib.suppress(FileNotFoundError), os.scandir(root) as entries:
        for entry in entries:
            ours = OURS.fullmatch(entry.name) and Path(entry.path) != own
            if ours and entry.is_dir(follow_symlinks=False):
                _sweep(Path(entry.path), max_age_s)


def _sweep(folder: Path, max_age_s: float) -> None:
    """Remove another replica's folder when nobody holds its lock any more."""
    try:
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:  # its process died before it locked it, or somebody took the lock
        _sweep_unlocked(folder, max_age_s)
        return
    except OSError:
        return  # a link or another user's: not ours
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    else:
        log.info("scratch of a dead replica removed", folder=folder.name)
        remove_replica(folder)
    finally:
        os.close(lock)


def _sweep_unlocked(folder: Path, max_age_s: float) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()  # empty: whoever is about to lock it makes another
        return
    with contextlib.suppress(FileNotFoundError):
        if folder.stat().st_mtime < time.time() - max_age_s:
            remove(folder)


def remove_replica(folder: Path) -> None:
    """Remove a replica's folder, its lock last: what is cut short here is done by the next sweep.

    The same holds for what a worker that outlives its parent for a moment still writes.
    """
    with contextlib.suppress(OSError):
        for path in [path for path in folder.iterdir() if path.name != LOCK]:
            remove(path)
    with contextlib.suppress(OSError):
        if [path.name for path in folder.iterdir()] == [LOCK]:
            remove(folder)


def remove(path: Path) -> None:
    """Remove a folder (never through a link) or a file; what is gone already is fine."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
    if path.exists():
        log.warning("scratch could not be removed", path=path.name)


def bytes_under(root: Path) -> int:
    """Bytes of all files below a folder."""
    total = 0
    for folder, _, names in os.walk(root):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(Path(folder) / name).st_size
    return total
