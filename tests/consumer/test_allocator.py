"""Large blocks are used again, and no full collection looks at what stays for ever.

The first blocks are there before a record needs them.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

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
HUGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")
PAGES = 10 * 1024 * 1024 // 4096


FIRST = """
import resource
from consumer.allocator import keep_freed_memory, touch_memory

told = keep_freed_memory()
if {tell}:
    touch_memory()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
[b"x" * (10 * 1024 * 1024) for _ in range(3)]
print(int(told), resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _count(tell: bool, program: str = FAULTS) -> tuple[bool, int]:
    command = [sys.executable, "-c", program.replace("{tell}", str(tell))]
    told, count = subprocess.run(command, check=True, capture_output=True).stdout.split()
    return told == b"1", int(count)


def _huge_pages() -> bool:
    """True where one fault may bring 2 MB: then counting them says nothing."""
    return HUGE_PAGES.is_file() and "[always]" in HUGE_PAGES.read_text()


def test_a_block_of_10_mb_that_was_freed_is_used_again() -> None:
    told, faults = _count(tell=True)
    if not told:
        pytest.skip("no glibc here: the allocator cannot be told to keep memory")
    assert faults < PAGES  # of sixteen such blocks
    _, untold = _count(tell=False)
    assert untold > 4 * PAGES or _huge_pages()  # what it is for; else it can go


def test_the_first_large_record_of_a_process_finds_its_memory_ready() -> None:
    told, faults = _count(tell=True, program=FIRST)
    if not told:
        pytest.skip("no glibc here: the allocator cannot be told to keep memory")
    assert faults < PAGES
    _, untouched = _count(tell=False, program=FIRST)
    assert untouched >= 2 * PAGES or _huge_pages()


COLLECT = """
import gc
import consumer.kafka.handler, consumer.kafka.publisher
from consumer.allocator import keep_from_collector

seen = []
gc.callbacks.append(lambda phase, info: seen.append(len(gc.get_objects())))
if {tell}:
    keep_from_collector()
gc.collect()
print(1, seen[-1])
"""


def test_a_full_collection_does_not_look_at_what_was_there_at_the_start() -> None:
    _, looked_at = _count(tell=True, program=COLLECT)
    _, untold = _count(tell=False, program=COLLECT)
    assert looked_at < 1_000 < 20_000 < untold
