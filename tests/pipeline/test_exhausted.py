"""What a machine ran out of is named."""

from __future__ import annotations

import errno
import os
import re

import pytest
import torch

from pipeline.errors import OutOfMemory, ScratchFull
from pipeline.exhausted import machine_limits


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "disk is full"),
        (errno.EDQUOT, "disk is full"),
        (errno.EFBIG, "`ulimit -f`"),
    ],
)
def test_a_file_without_room_is_told_as_the_disk_s_with_the_system_s_word(
    number: int, words: str
) -> None:
    with pytest.raises(ScratchFull, match=words) as told, machine_limits():
        raise OSError(number, os.strerror(number), "output.mp4")
    assert os.strerror(number) in told.value.message


def test_memory_that_ended_is_told_as_such() -> None:
    with pytest.raises(OutOfMemory), machine_limits():
        bytes(2**62)
    with pytest.raises(OutOfMemory, match="DefaultCPUAllocator"), machine_limits():
        torch.empty(2**60, dtype=torch.uint8)


@pytest.mark.parametrize(
    "error",
    [RuntimeError("can't start new thread"), OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))],
)
def test_a_thread_or_a_process_that_is_not_to_be_had_counts_as_memory(error: Exception) -> None:
    with pytest.raises(OutOfMemory, match=re.escape(str(error))), machine_limits():
        raise error


def test_any_other_error_stays_what_it_is() -> None:
    with pytest.raises(FileNotFoundError), machine_limits():
        raise FileNotFoundError(errno.ENOENT, "no such file")
