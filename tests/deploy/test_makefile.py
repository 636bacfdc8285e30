"""`make` on a newcomer's machine: whichever `python3` it has, its locale, and without a network."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def _said(*command: str, **environment: str) -> str:
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, check=True,
        timeout=120,
    )  # fmt: skip
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


def test_a_changed_project_is_set_up_again_without_a_network(tmp_path: Path) -> None:
    """What builds the package was looked for on the index each time, in whatever version it had."""
    steps = _said("make", "-n", "-W", "pyproject.toml", "setup").splitlines()
    (install,) = [step for step in steps if "--editable ." in step]
    elsewhere = ["--offline", "--target", str(tmp_path / "there")]
    _said(*install.split(), *elsewhere, UV_CACHE_DIR=str(tmp_path / "nothing"))
    assert list(tmp_path.glob("there/*.pth"))


@pytest.mark.parametrize("locale", ["C", "POSIX"])
def test_folders_with_any_letters_work_in_the_plain_locale(locale: str) -> None:
    """Python 3.11 read the folder of the checkout as ASCII there, and did not start."""
    asked = ("make", "-s", "--eval", "told: ; @printf %s $$LC_ALL", "told")
    assert _said(*asked, LC_ALL=locale) == "C.UTF-8"
    assert _said(*asked, LC_ALL="de_DE.UTF-8") == "de_DE.UTF-8"
