"""Promise: large blocks that were freed are used again, without asking the system for pages."""

from __future__ import annotations

import subprocess
import sys

import pytest

FAULTS = """
import resource
from consumer.allocator import keep_freed_memory

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def copy_twice():
    return [bytearray(b"x") * (10 * 1024 * 1024) for _ in range(2)]

told = {tell} and keep_freed_memory()
for _ in range(3):
    copy_twice()
before = faults()
for _ in range(8):
    copy_twice()
print(int(told), faults() - before)
"""
PAGES = 10 * 1024 * 1024 // 4096


def _faults(tell: bool) -> tuple[bool, int]:
    command = [sys.executable, "-c", FAULTS.replace("{tell}", str(tell))]
    told, faults = subprocess.run(command, check=True, capture_output=True).stdout.split()
    return told == b"1", int(faults)


def test_a_block_of_10_mb_that_was_freed_is_used_again() -> None:
    told, faults = _faults(tell=True)
    if not told:
        pytest.skip("no glibc here: the allocator cannot be told to keep memory")
    assert faults < PAGES  # of sixteen such blocks
    _, untold = _faults(tell=False)
    assert untold > 4 * PAGES  # what it is for; else it can go
