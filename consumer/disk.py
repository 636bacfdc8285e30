"""Errors of the disk that holds scratch, told from all others: full, read-only, or failing."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

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


@contextmanager
def written(path: Path, what: str) -> Iterator[BinaryIO]:
    """A new file for what is fetched; gone again, whatever ends the writing of it.

    Raises:
        Fault: SCRATCH_FULL, by the disk; every other error as it came.
    """
    try:
        with path.open("wb") as out:
            yield out
    except OSError as error:
        path.unlink(missing_ok=True)
        full = scratch_fault(error, what)
        if full is None:
            raise
        raise full from error
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def scratch_fault(error: OSError, what: str) -> Fault | None:
    """SCRATCH_FULL where writing failed by the disk; None for an error of something else."""
    if error.errno in FULL:
        return Fault.of(ErrorCode.SCRATCH_FULL, Stage.FETCH, f"no room on scratch for {what}")
    if error.errno in _FAILING:
        text = f"scratch cannot take {what}: {error.strerror}"
        return Fault.of(ErrorCode.SCRATCH_FULL, Stage.FETCH, text)
    return None
