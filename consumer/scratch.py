"""Local scratch: one folder per job, gone on every path, and a janitor for what others left.

    <DUIX_DATA_DIR>/jobs/replica-<random>/         held by a file lock while its process lives
                                        .lock
                                        <n>-<render id>/   one job

The lock says who is alive (`consumer.left_over`).
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import itertools
import os
import shutil
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import structlog

from consumer.avatar_disk import trim
from consumer.disk import FULL, free_files
from consumer.faults import Fault
from consumer.left_over import LOCK, bytes_under, remove, remove_replica, sweep_others
from consumer.metrics import FREE_BYTES, SCRATCH_BYTES
from consumer.settings import Settings
from schemas.codes import ErrorCode, Stage

LEAST_FILES = 64
"""Files that scratch must be able to take before a job is begun; one makes a dozen."""
log = structlog.get_logger(__name__)


class Scratch:
    """The scratch of one replica, between `open` and `close`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._root = settings.data_dir / "jobs"
        self._count = itertools.count()
        self._due: dict[Path, float] = {}
        """Folders of finished jobs, and the monotonic second at which they go."""
        self._active: set[Path] = set()
        self._lock: int | None = None
        self._opened = False
        self.folder = self._root / "unopened"

    # --- life

    def open(self) -> None:
        """Make and lock this replica's folder.

        Raises:
            Fault: SCRATCH_FULL, the folder cannot be made; names the setting.
        """
        try:
            self._root.mkdir(parents=True, exist_ok=True)
            while self._lock is None:
                self._lock = self._claim()
        except OSError as error:
            raise Fault.of(
                ErrorCode.SCRATCH_FULL,
                Stage.ADMIT,
                f"DUIX_DATA_DIR = {str(self._settings.data_dir)!r} cannot be used: "
                f"{error.strerror}",
            ) from error
        self._opened = True

    def _claim(self) -> int | None:
        folder = self._root / f"replica-{uuid.uuid4().hex[:16]}"
        folder.mkdir(mode=0o700)
        # until it is locked another replica's janitor may take it for a dead one's
        try:
            lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            same = os.fstat(lock).st_ino == (folder / LOCK).stat().st_ino
        except (BlockingIOError, FileNotFoundError):
            same = False
        if not same:
            os.close(lock)
            return None
        self.folder = folder
        return lock

    def _unusable(self) -> str | None:
        """Why nothing can be written here; a folder that somebody removed is made anew.

        Cleaners of /tmp remove what lies there for days; a disk that fails becomes read-only.
        """
        if not self._opened:
            return None
        try:
            os.utime(self.folder / LOCK)
        except FileNotFoundError:
            return self._make_anew()
        except OSError as error:
            return f"scratch {str(self.folder)!r} cannot be written: {error.strerror}"
        return None

    def _make_anew(self) -> str | None:
        if self._lock is not None:
            log.warning("scratch was removed by somebody else; made anew", folder=str(self.folder))
            os.close(self._lock)
            self._lock = None
        try:
            self.open()
        except Fault as fault:
            return fault.what
        return None

    def close(self) -> None:
        """Remove everything of this replica."""
        self._opened = False
        if self._lock is not None:
            remove_replica(self.folder)
            os.close(self._lock)
            self._lock = None
        self._due.clear()
        self._active.clear()

    # --- jobs

    @asynccontextmanager
    async def job(self, render_id: str) -> AsyncIterator[Path]:
        """A new folder of one job; on the way out it goes, at once or after CLEANUP_DELAY."""
        self._unusable()
        folder = self.folder / f"{next(self._count)}-{render_id[:16]}"
        try:
            folder.mkdir(mode=0o700)
        except OSError as error:
            raise _full(error, self._settings.data_dir) from error
        self._active.add(folder)
        try:
            yield folder
        finally:
            self._active.discard(folder)
            delay = self._settings.cleanup_delay_s
            if delay > 0:
                self._due[folder] = time.monotonic() + delay
            else:
                remove(folder)  # in place: a cancelled job must not leave before its files

    # --- janitor

    async def run_janitor(self) -> None:
        """Sweep now, then every PERIODIC_CLEANUP_INTERVAL; finished jobs go when they are due."""
        next_sweep = time.monotonic()
        while True:
            now = time.monotonic()
            if now >= next_sweep:
                await asyncio.to_thread(self.sweep)
                next_sweep = now + self._settings.cleanup_interval_s
            await asyncio.to_thread(self.remove_due)
            soonest = min([next_sweep, *self._due.values()])
            await asyncio.sleep(min(1.0, max(0.05, soonest - time.monotonic())))

    def remove_due(self, *, all_finished: bool = False) -> None:
        """Remove the folders of finished jobs whose time has come, or of all of them."""
        now = time.monotonic()
        for folder, due in list(self._due.items()):
            if all_finished or due <= now:
                remove(folder)
                self._due.pop(folder, None)

    def sweep(self) -> None:
        """Remove what dead replicas left, and what of ours belongs to no job and is old."""
        sweep_others(self._root, self.folder, self._settings.max_file_age_s)
        with contextlib.suppress(FileNotFoundError):
            self._sweep_own()
        self._measure()

    def _sweep_own(self) -> None:
        oldest = time.time() - self._settings.max_file_age_s
        with os.scandir(self.folder) as entries:
            for entry in entries:
                path = Path(entry.path)
                known = entry.name == LOCK or path in self._active or path in self._due
                if not known and entry.stat(follow_symlinks=False).st_mtime < oldest:
                    remove(path)

    def _measure(self) -> None:
        SCRATCH_BYTES.set(bytes_under(self._root))
        FREE_BYTES.set(self.free_bytes())

    # --- disk

    def free_bytes(self) -> int:
        """Free bytes of the scratch disk; 0 when it cannot be read."""
        try:
            return shutil.disk_usage(self._root).free
        except OSError:
            return 0

    def nearly_full(self) -> str | None:
        """Why no further job may be taken; finished jobs' files are given up first."""
        reason = self._unusable()
        if reason is not None:
            return reason
        least = self._settings.min_free_bytes
        free = self.free_bytes()
        if free < least and self._due:
            self.remove_due(all_finished=True)
            free = self.free_bytes()
        if free < least:  # prepared references can be made anew
            trim(self._settings.avatars, self._settings.avatar_bytes, least)
            free = self.free_bytes()
        FREE_BYTES.set(free)
        if free < least:
            return f"scratch disk has {free} bytes free, fewer than F2F_MIN_FREE_BYTES = {least}"
        return self._few_files()

    def _few_files(self) -> str | None:
        """Why the disk takes no further files although it has room; finished jobs' go first."""
        files = free_files(self._root)
        if files is not None and files < LEAST_FILES and self._due:
            self.remove_due(all_finished=True)
            files = free_files(self._root)
        if files is None or files >= LEAST_FILES:
            return None
        where = str(self._settings.data_dir)
        return f"the disk of DUIX_DATA_DIR = {where!r} takes only {files} more files (inodes)"


def _full(error: OSError, folder: Path) -> Fault:
    where = f"{str(folder)!r} (DUIX_DATA_DIR)"
    if error.errno in FULL:
        return Fault.of(ErrorCode.SCRATCH_FULL, Stage.FETCH, f"the disk of {where} is full")
    return Fault.of(
        ErrorCode.SCRATCH_FULL, Stage.FETCH, f"scratch {where} cannot be used: {error.strerror}"
    )
