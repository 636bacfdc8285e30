"""What a machine ran out of, by name, wherever in a job it happened."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.batching.cuda import is_out_of_memory
from pipeline.errors import OutOfMemory, ScratchFull
from schemas.codes import Stage


@contextmanager
def machine_limits() -> Iterator[None]:
    """Raise an error of ours for memory or disk that ended inside.

    Raises:
        OutOfMemory: of the host, or of a GPU.
        ScratchFull: no room on the disk, or none within its quota.
    """
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not isinstance(error, MemoryError) and not is_out_of_memory(error):
            raise
        raise OutOfMemory(f"out of memory: {error}", stage=Stage.GENERATE) from error
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise ScratchFull(f"scratch disk is full: {error.strerror}", stage=Stage.ENCODE) from error
