"""How this process gets and keeps memory for large values."""

from __future__ import annotations

import ctypes
import gc
import sys

LARGEST_BYTES = 32 * 1024 * 1024
"""Blocks below come from the heap; as large as glibc allows, and as a batch of records may be."""
KEPT_BYTES = 96 * 1024 * 1024
"""What may lie free at the heap's end before it goes back to the system."""

LARGE_RECORD_BYTES = 11 * 1024 * 1024
COPIES = 6
"""Of a large record, the largest that brokers are usually told to take, that are alive at a time.

From the socket to the compressed dead letter; with four, compressing still cleared 1,500 pages."""

M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
"""Names of glibc's malloc.h; see mallopt(3)."""


def keep_freed_memory() -> bool:
    """Use freed memory again for large blocks, where the C library can be told to.

    A record of 10 MB is copied some ten times on its way through the Kafka client. As shipped,
    glibc asks the system for each such block anew, and the system clears its pages one by one: most
    of the time that such a record takes, during which the event loop stands still.

    Returns:
        False where there is no glibc; nothing is changed then.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt is None:
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, LARGEST_BYTES) and mallopt(M_TRIM_THRESHOLD, KEPT_BYTES))


def touch_memory() -> None:
    """Have the pages for one large record cleared now, before any record waits for that.

    Without it the first record of 10 MB in a process takes half as long again as those after it.
    Call it when everything else that stays has been made, so that the blocks are in one piece.
    """
    blocks = [b"\1" * LARGE_RECORD_BYTES for _ in range(COPIES)]
    del blocks


def keep_from_collector() -> None:
    """Take all that lives now out of the sight of Python's cycle collector.

    Modules and classes are some 65,000 objects in the service and 220,000 in a worker, which stay
    for as long as the process. A full collection looks at each of them, 25 ms or more during which
    the event loop, or whoever feeds the GPU, stands still; a single hostile record, with a thousand
    nested lists, is enough to set one off. Call it when everything that stays has been made.
    """
    gc.collect()
    gc.freeze()
