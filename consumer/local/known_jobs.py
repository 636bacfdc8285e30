"""Job ids that a watermark's digest may belong to: those rendered here, and those of a store.

A digest cannot be turned back into an id, so somebody has to know the ids. `face2face render`
writes each one into a file of the user's cache, the newest 10,000; the service's are the folders
under `results/` of its bucket.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from consumer.caches import jobs_file
from schemas.request import JOB_ID_PATTERN

if TYPE_CHECKING:
    from consumer.store.storage import Storage

KEPT = 10_000
"""Ids that the file holds after it was cut; it is cut at twice as many."""
_PAGE = 1000


def remember(job_id: str, path: Path | None = None) -> None:
    """Append an id to the file; several processes may do so at once.

    Raises:
        OSError: it cannot be written.
    """
    path = path or jobs_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="ascii") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(f"{job_id}\n")
        file.flush()
        if file.tell() > KEPT * 2:  # fewer bytes cannot be twice as many lines
            _cut(file.fileno(), path)


def remembered(path: Path | None = None) -> list[str]:
    """Ids of the file, the newest first; none where it cannot be read."""
    try:
        text = (path or jobs_file()).read_bytes().decode("ascii", "replace")
    except OSError:
        return []
    return list(dict.fromkeys(line for line in reversed(text.split()) if _is_id(line)))


def jobs_of_store(bucket: str | None, prefix: str) -> list[str]:
    """Ids that have results in a bucket, in order; none without a bucket.

    Raises:
        CommandError: the store does not answer; names where it was looked for.
        Fault: there is no such bucket.
    """
    return asyncio.run(_of_settings(bucket, prefix)) if bucket else []


async def list_jobs(storage: Storage, bucket: str, prefix: str) -> list[str]:
    """Ids that have results under a prefix, in order."""
    folder, jobs, after = f"{prefix}results/", dict[str, None](), ""
    while page := await storage.list_page(bucket, folder, after, _PAGE):
        names = [key[len(folder) :].split("/")[0] for key, _ in page]
        jobs.update(dict.fromkeys(names))
        # What follows in the last folder names the same job.
        after = f"{folder}{names[-1]}/\U0010ffff"
    return [job for job in jobs if _is_id(job)]


async def _of_settings(bucket: str, prefix: str) -> list[str]:
    from consumer.local.open_store import opened
    from consumer.settings.load import load

    with opened(load()) as storage:
        return await list_jobs(storage, bucket, prefix)


def _is_id(text: str) -> bool:
    return re.fullmatch(JOB_ID_PATTERN.strip("^$"), text) is not None


def _cut(file: int, path: Path) -> None:
    """Leave the newest, in place: who waits for the lock has this very file open."""
    lines = path.read_bytes().splitlines(keepends=True)
    if len(lines) < 2 * KEPT:
        return
    os.ftruncate(file, 0)
    os.write(file, b"".join(lines[-KEPT:]))
