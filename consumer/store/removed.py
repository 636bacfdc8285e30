"""Writes over removed objects in stores that count them as present.

VersityGW does so in a bucket that keeps versions: once an object was removed, the condition that
nothing is under its key never holds again, though reading finds nothing. Without this, jobs whose
objects have expired would wait without end.
"""

from __future__ import annotations

import time
from dataclasses import replace

import structlog

from consumer.faults import Fault
from consumer.store.facts import denied
from consumer.store.reads import Reads
from consumer.store.writes import Put, Writes
from schemas.codes import ErrorCode

TIMES, PAUSE_S = 3, 0.1
"""So often in a row no rival writes and removes the same object."""
SETTLE_S = 0.5
"""Rivals that wrote without a condition as we did, and before they saw ours, are done after this:
the last one's object is there, and that one has won."""
log = structlog.get_logger(__name__)


def put_over_removed(reads: Reads, writes: Writes, wanted: Put) -> str | None:
    """Write an object of which the store says that it is there, if it is not; blocks.

    Returns:
        Its ETag, or None where an object is there.

    Raises:
        Fault: the store does not answer, refuses, or loses what it takes, as VersityGW 1.8 does
            with versions and its metadata in files.
    """
    for _ in range(TIMES):
        if _is_there(reads, wanted):
            return None
        etag = writes.put(wanted)
        if etag is not None:
            return etag
        time.sleep(PAUSE_S)
    log.warning("this store takes a removed object for one that is there", key=wanted.key)
    etag = writes.put(replace(wanted, over=None))
    time.sleep(SETTLE_S)
    there = reads.stat(wanted.bucket, wanted.key)
    if there is None:
        what = f"put object {wanted.key!r} in bucket {wanted.bucket!r}"
        raise denied(f"{what}: the store takes it, and then shows nothing there")
    return etag if there.etag == etag else None


def _is_there(reads: Reads, wanted: Put) -> bool:
    try:
        return reads.stat(wanted.bucket, wanted.key) is not None
    except Fault as fault:
        if fault.code is ErrorCode.STORE_DENIED:  # who may only write cannot know better
            return True
        raise
