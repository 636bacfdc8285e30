"""The whole suite in the time of its longest part: what waits, in two parts, and what computes.

    .venv/bin/python -m tests.support.parts [options of pytest for all]

The tests of the service wait for brokers, leases and children for most of their time; those of the
pipeline use processors and no server. They share nothing: servers take free ports, every test has a
folder of its own. The pipeline's part runs at a lower priority, so that whoever waits for a sign of
life gets a processor at once, and with one thread for each operator of torch: helpers of the small
networks' operators spin where processors are short (twice the processor time). The first part's
report is printed as it comes, those of the others whole when all are done. `.venv/bin/pytest` still
runs everything in one process.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from tests.support.processes import die_with_parent

TESTS = Path(__file__).parents[1]
WAITING = (("integration",), ("chaos", "consumer", "support"))
"""Folders of tests that start servers or services, by parts; all others compute."""
NICE = 10
_NOTHING_COLLECTED = 5


def folders() -> tuple[list[list[str]], list[str]]:
    """All folders of tests: those that wait, by parts, and those that compute."""
    every = sorted(path.name for path in TESTS.iterdir() if any(path.rglob("test_*.py")))
    waiting = [[name for name in every if name in part] for part in WAITING]
    return waiting, [name for name in every if not any(name in part for part in waiting)]


def command(names: Sequence[str], options: Sequence[str]) -> list[str]:
    """pytest over folders."""
    places = [str((TESTS / name).relative_to(TESTS.parent)) for name in names]
    return [sys.executable, "-m", "pytest", *places, *options]


def run(options: Sequence[str]) -> int:
    """Run all parts; the first exit status that is not 0."""
    (first, *others), computing = folders()
    with ExitStack() as stack:
        parts = [_beside(names, options, nice=0) for names in others]
        parts.append(_beside(computing, options, nice=NICE, OMP_NUM_THREADS="1"))
        beside = [stack.enter_context(part) for part in parts]
        codes = [subprocess.run(command(first, options), cwd=TESTS.parent, check=False).returncode]
        for process, report in beside:
            codes.append(process.wait())
            report.seek(0)
            sys.stdout.buffer.write(report.read())
            sys.stdout.flush()
    return status(*codes)


@contextmanager
def _beside(
    names: Sequence[str], options: Sequence[str], *, nice: int, **env: str
) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
    """A part that runs beside the first one, and where its report goes."""

    def begin() -> None:
        die_with_parent()
        os.nice(nice)

    with tempfile.TemporaryFile() as report:
        process = subprocess.Popen(
            # Several processes would write one cache of last failures.
            command(names, ["-o", f"cache_dir=.pytest_cache/{names[0]}", *options]),
            cwd=TESTS.parent,
            env={**env, **os.environ},
            stdout=report,
            stderr=subprocess.STDOUT,
            preexec_fn=begin,
        )
        try:
            yield process, report
        finally:
            process.kill()
            process.wait()


def status(*codes: int) -> int:
    """The first exit status that is not 0, as of one run; a part may have nothing to run."""
    told = [code for code in codes if code != _NOTHING_COLLECTED]
    return next((code for code in told if code), 0 if told else _NOTHING_COLLECTED)


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
