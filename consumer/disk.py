"""Errors of the disk that holds scratch, told from all others: full, read-only, or failing."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from consumer.faults import Fault
from schemas.codes import ErrorCode, Stage

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_FAILING = frozenset({errno.EROFS, errno.EIO, errno.EFBIG})


def free_files(folder: Path) -> int | None:
    """How many more files the disk of a folder takes; None where it knows no limit, or nothing."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return None
    return found.f_favail if found.f_files else None


def scratch_fault(error: OSError, what: str) -> Fault | None:
    """SCRATCH_FULL where writing failed by the disk; None for an error of something else.

    Args:
        error: as it came.
        what: what was to be written, in the message.
    """
    if error.errno in FULL:
        return Fault.of(ErrorCode.SCRATCH_FULL, Stage.FETCH, f"no room on scratch for {what}")
    if error.errno in _FAILING:
        text = f"scratch cannot take {what}: {error.strerror}"
        return Fault.of(ErrorCode.SCRATCH_FULL, Stage.FETCH, text)
    return None
