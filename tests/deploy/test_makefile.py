"""`make` on a newcomer's machine: whichever `python3` it has, its locale, and without a network."""

from __future__ import annotations

import os
import shutil
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


_UV = """#!/bin/sh
case $1 in
venv)
    for place; do :; done
    mkdir -p "$place/bin"
    ln -s "$PYTHON" "$place/bin/python"
    printf '#!/bin/sh\\n' >"$place/bin/face2face"
    chmod +x "$place/bin/face2face" ;;
pip)
    if [ -e interrupted ]; then touch .venv/half; exit 130; fi ;;
esac
"""
"""Makes an environment without anything in it; `interrupted`, it breaks off in the midst."""


def test_what_an_interrupted_set_up_left_half_made_is_made_anew(tmp_path: Path) -> None:
    """uv took torch for installed, and every command ended by a module that was not there."""
    for name in ("Makefile", "requirements.lock", "pyproject.toml", "deploy/install-locked.sh"):
        there = tmp_path / name
        there.parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, there)
    uv = tmp_path / "uv"
    uv.write_text(_UV)
    uv.chmod(0o755)

    def setup(*given: str) -> int:
        command = ("make", "setup", "UV=./uv", f"PYTHON={sys.executable}", *given)
        env = os.environ | {"PYTHON": sys.executable}
        return subprocess.run(command, cwd=tmp_path, env=env, check=False, timeout=120).returncode

    half, kept = tmp_path / ".venv" / "half", tmp_path / ".venv" / "kept"
    (tmp_path / "interrupted").touch()
    assert setup("TORCH=cpu") != 0
    assert half.exists()
    (tmp_path / "interrupted").unlink()
    assert setup() == 0
    assert not half.exists()
    assert (tmp_path / ".venv" / ".installed-cpu").exists(), "what was chosen holds"
    kept.touch()
    os.utime(tmp_path / "pyproject.toml", (2**31, 2**31))
    assert setup() == 0
    assert kept.exists(), "a whole one stays"
