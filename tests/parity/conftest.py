"""Where the golden vectors are, and what the comparisons reached."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.parity.compare import LINES, Array

ROOT = Path(__file__).resolve().parents[2]

Npz = Callable[[str], dict[str, Array]]


@pytest.fixture(scope="session")
def golden() -> Path:
    """The folder of the golden vectors: F2F_GOLDEN, else ../shared/golden."""
    named = os.environ.get("F2F_GOLDEN")
    folder = Path(named) if named else ROOT.parent / "shared" / "golden"
    if not folder.is_absolute():
        folder = ROOT / folder
    if not (folder / "rule.json").is_file():
        pytest.skip(f"no golden vectors in {folder} (no rule.json): set F2F_GOLDEN to their folder")
    return folder


@pytest.fixture(scope="session")
def salt(golden: Path) -> str:
    """The salt of the weight rule that the vectors were made with."""
    return str(json.loads((golden / "rule.json").read_text())["salt"])


@pytest.fixture(scope="session")
def npz(golden: Path) -> Npz:
    """Read one file of vectors by name; skips aloud when the set does not hold it."""

    def read(name: str) -> dict[str, Array]:
        path = golden / f"{name}.npz"
        if not path.is_file():
            pytest.skip(f"this set of golden vectors has no {path.name}: {golden}")
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in file.files}

    return read


@pytest.fixture(scope="session")
def spec() -> Path:
    """The folder of the published key lists: F2F_SPEC, else ../shared/spec."""
    folder = Path(os.environ.get("F2F_SPEC", ROOT.parent / "shared" / "spec"))
    if not (folder / "wav2lip_state_dict.json").is_file():
        pytest.skip(f"no key lists in {folder}: set F2F_SPEC to their folder")
    return folder


def need(vectors: dict[str, Array], *keys: str) -> None:
    """Skip aloud when this set does not hold what a test compares with."""
    missing = [key for key in keys if key not in vectors]
    if missing:
        pytest.skip(f"this set of golden vectors has no {', '.join(missing)}")


def fps_of(label: str) -> Fraction:
    """The exact rate that a label such as 25, 29.97 or 30000_1001 names."""
    return Fraction(label.replace("_", "/"))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say how near every array came."""
    if not LINES:
        return
    terminalreporter.section("parity: reached, allowed")
    wide = max(len(line.name) for line in LINES)
    for line in LINES:
        terminalreporter.write_line(f"{line.name:<{wide}}  {line.reached:>18}  {line.limit:>14}")
