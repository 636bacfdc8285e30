"""Keep freed memory for the next picture instead of giving it back to the kernel each time.

glibc maps large blocks one by one and trims the top of its heaps as soon as they are free. A render
frees and asks for the same megabytes with every batch, and each page of them then costs a fault and
a zeroing: of a 4 s job on a 720p reference they were a tenth of the whole processor time.
"""

from __future__ import annotations

import ctypes
from functools import cache

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Parameters of mallopt(3)."""
MAP_FROM = 32 * 1024**2
"""Blocks above this are mapped one by one, still; glibc allows no more."""
KEEP_MOST = 256 * 1024**2
"""Free bytes at the top of a heap above which they are given back."""


@cache
def keep_freed_memory() -> bool:
    """Ask this process's allocator to keep what is freed; False where it is not glibc's."""
    mallopt = getattr(_libc(), "mallopt", None)
    if mallopt is None:
        return False
    kept = [mallopt(_M_MMAP_THRESHOLD, MAP_FROM), mallopt(_M_TRIM_THRESHOLD, KEEP_MOST)]
    return all(kept)


def return_freed_memory() -> None:
    """Return what is free to the kernel: a worker waits longer than it works."""
    trim = getattr(_libc(), "malloc_trim", None)
    if trim is not None:
        trim(0)


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None)
