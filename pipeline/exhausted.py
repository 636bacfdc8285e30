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


@contextmanager
def machine_limits() -> Iterator[None]:
    """Raise an error of ours for memory or disk that ended inside.

    Raises:
        OutOfMemory: of the host, or of a GPU.
        ScratchFull: no room on the disk, none within its quota, or a file that may not grow.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not isinstance(error, MemoryError) and not is_out_of_memory(error):
            raise
        raise OutOfMemory(f"out of memory: {error}", stage=Stage.GENERATE) from error
    except OSError as error:
        if error.errno not in _NO_ROOM:
            raise
        text = f"{_NO_ROOM[error.errno]}: {error.strerror}"
        raise ScratchFull(text, stage=Stage.ENCODE) from error
