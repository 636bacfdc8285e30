"""What a machine ran out of, by name, wherever in a job it happened."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.batching.cuda import is_out_of_memory
from pipeline.errors import OutOfMemory, ScratchFull
from schemas.codes import Stage

_NO_ROOM = {
    errno.ENOSPC: "scratch disk is full",
    errno.EDQUOT: "scratch disk is full",
    errno.EFBIG: "a file reached the size that this process (`ulimit -f`) or its disk allows",
}
"""Why a file could not be written, by the system's word."""
_NO_MEMORY = frozenset({errno.ENOMEM, errno.EAGAIN})
"""No memory, thread or process was to be had."""
_HOST_SIGNS = ("DefaultCPUAllocator: can't allocate memory", "can't start new thread")
"""torch's and Python's words for the same."""


@contextmanager
def machine_limits() -> Iterator[None]:
    """Raise an error of ours for memory or disk that ended inside.

    Raises:
        OutOfMemory: of the host, or of a GPU; threads and processes count as the host's.
        ScratchFull: no room on the disk, none within its quota, or a file that may not grow.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not (isinstance(error, MemoryError) or is_out_of_memory(error) or _of_host(error)):
            raise
        raise OutOfMemory(f"out of memory: {error}", stage=Stage.GENERATE) from error
    except OSError as error:
        if error.errno in _NO_MEMORY:
            raise OutOfMemory(f"out of memory: {error}", stage=Stage.GENERATE) from error
        if error.errno not in _NO_ROOM:
            raise
        text = f"{_NO_ROOM[error.errno]}: {error.strerror}"
        raise ScratchFull(text, stage=Stage.ENCODE) from error


def _of_host(error: Exception) -> bool:
    return any(sign in str(error) for sign in _HOST_SIGNS)
