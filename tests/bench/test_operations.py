from __future__ import annotations

from pathlib import Path

from tests.bench import clips
from tests.bench.operations_case import cost

KNOWN, NEW = 50, 240
"""Operators for each frame of the output, and what each new frame of the reference adds."""


def test_a_frame_costs_the_interpreter_few_operators(tmp_path: Path) -> None:
    """One process serves a GPU: what is not bound by the device is bound by these."""
    found = cost(tmp_path, clips.ASSETS / "reference.mp4")
    assert set(found.known) == {"decode", "encode", "engine"}
    assert min(found.known.values()) > 0, "nothing was counted"
    assert sum(found.known.values()) <= KNOWN, found.known
    assert sum(found.new.values()) <= NEW, found.new
