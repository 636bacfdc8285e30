"""A frame costs the interpreter a bounded number of torch operators."""

from __future__ import annotations

from pathlib import Path

from tests.bench import clips
from tests.bench.operations_case import LONG_S, cost

KNOWN, NEW = 21, 110
"""Operators for each frame of the output, and what each new frame of the reference adds."""


def test_a_frame_costs_the_interpreter_few_operators(tmp_path: Path) -> None:
    """One process serves a GPU: what is not bound by the device is bound by these."""
    short = clips.begin(clips.ASSETS / "reference.mp4", tmp_path / "reference.mp4", LONG_S)
    found = cost(tmp_path, short)
    assert set(found.known) == {"decode", "encode", "engine"}
    assert min(found.known.values()) > 0, "nothing was counted"
    assert sum(found.known.values()) <= KNOWN, found.known
    assert sum(found.new.values()) <= NEW, found.new
