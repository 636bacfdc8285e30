"""Too few open files are said before any work, with the limit to raise."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

from tests.consumer.command_line import error_of


def _topics(soft: int, hard: int) -> subprocess.CompletedProcess[str]:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    return subprocess.run(
        [sys.executable, "-m", "consumer.cli", "topics", "apply", "--file", "/none", "--json"],
        capture_output=True,
        text=True,
        timeout=120,
        preexec_fn=limit,
        check=False,
    )


@pytest.mark.parametrize("files", [16, 24, 127])
def test_a_hard_limit_that_is_too_low_is_named_with_what_to_do(files: int) -> None:
    done = _topics(files, files)
    assert done.returncode == 2
    error = error_of(done)
    assert f"may open {files} files (RLIMIT_NOFILE)" in str(error["message"])
    assert "ulimit -n 4096" in str(error["message"])
    assert "Traceback" not in done.stderr


def test_a_low_soft_limit_is_raised_by_itself() -> None:
    done = _topics(32, 4096)
    error = error_of(done)
    assert "/none" in str(error["message"])  # it got as far as its own work
