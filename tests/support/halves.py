"""The whole suite in the time of its longer half: what waits, and beside it what computes.

    .venv/bin/python -m tests.support.halves [options of pytest for both]

The tests of the service wait for brokers, leases and children for most of their time; those of the
pipeline use processors and no server. They share nothing: servers take free ports, every test has a
folder of its own. The pipeline's half runs at a lower priority, so that whoever waits for a sign of
life gets a processor at once, and with one thread for each operator of torch: helpers of the small
networks' operators spin where processors are short (twice the processor time). Its report is
printed whole when both are done. `.venv/bin/pytest` still runs everything in one process.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.support.processes import die_with_parent

TESTS = Path(__file__).parents[1]
WAITING = ("chaos", "consumer", "integration", "support")
"""Folders of tests that start servers or services; all others compute."""
NICE = 10
_NOTHING_COLLECTED = 5


def folders() -> tuple[list[str], list[str]]:
    """All folders of tests: those that wait, those that compute."""
    every = sorted(path.name for path in TESTS.iterdir() if any(path.rglob("test_*.py")))
    return [n for n in every if n in WAITING], [n for n in every if n not in WAITING]


def command(names: Sequence[str], options: Sequence[str]) -> list[str]:
    """pytest over folders."""
    places = [str((TESTS / name).relative_to(TESTS.parent)) for name in names]
    return [sys.executable, "-m", "pytest", *places, *options]


def run(options: Sequence[str]) -> int:
    """Run both halves; the first exit status that is not 0."""
    waiting, computing = folders()
    with tempfile.TemporaryFile() as report:
        # Two processes would write one cache of last failures.
        own = ["-o", "cache_dir=.pytest_cache/computing"]
        beside = subprocess.Popen(
            command(computing, [*own, *options]),
            cwd=TESTS.parent,
            env={"OMP_NUM_THREADS": "1", **os.environ},
            stdout=report,
            stderr=subprocess.STDOUT,
            preexec_fn=_behind,
        )
        try:
            first = subprocess.run(command(waiting, options), cwd=TESTS.parent, check=False)
            second = beside.wait()
        finally:
            beside.kill()
            beside.wait()
        report.seek(0)
        sys.stdout.buffer.write(report.read())
        sys.stdout.flush()
    return status(first.returncode, second)


def _behind() -> None:
    die_with_parent()
    os.nice(NICE)


def status(*codes: int) -> int:
    """The first exit status that is not 0, as of one run; a half may have nothing to run."""
    told = [code for code in codes if code != _NOTHING_COLLECTED]
    return next((code for code in told if code), 0 if told else _NOTHING_COLLECTED)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
