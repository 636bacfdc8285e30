"""`make setup` takes a Python that works, whichever one a newcomer's `python3` is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def _said(*command: str) -> str:
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=120
    )
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("version", "taken"),
    [((3, 10, 13), False), ((3, 11, 0), True), ((3, 13, 9), True), ((3, 14, 0), False)],
)
def test_a_python_that_cannot_work_is_not_taken(version: tuple[int, int, int], taken: bool) -> None:
    """One that is too old ended in a riddle of the resolver, and .venv stayed of it for ever."""
    choice = _said("make", "-s", "--eval", "told: ; @printf %s $(WHEELED)", "told")
    code = f"import sys; sys.version_info = {version}; {choice}"
    found = _said(sys.executable, "-c", code)
    assert found == (sys.executable if taken else ">=3.11,<3.14")
