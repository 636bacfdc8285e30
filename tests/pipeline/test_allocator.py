"""What a render frees is there for its next batch, and gone when it has ended."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

CODE = """
import resource, sys
from pipeline import allocator

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def resident():
    return int(open("/proc/self/statm").read().split()[1])

if "keep" in sys.argv:
    print(allocator.keep_freed_memory())
blocks = range(12)
for _ in range(3):
    held = [bytearray(b"x") * (2 << 20) for _ in blocks]
    del held
before = faults()
for _ in range(10):
    held = [bytearray(b"x") * (2 << 20) for _ in blocks]
    del held
print(faults() - before)
before = resident()
allocator.return_freed_memory()
print(before - resident())
"""


def run(*arguments: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", CODE, *arguments],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(ROOT)},
    )
    return done.stdout.split()


def test_memory_that_was_freed_is_not_faulted_in_again() -> None:
    said, faults, returned = run("keep")
    assert said == "True"
    assert int(faults) < 2000
    assert int(returned) > 1000, "pages go back at the end"
    assert int(run("")[0]) > 10 * 2000, "without it they are, or there is nothing to do here"
