"""Following a face through frames, as the tests of the track do it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.faces.track import FaceTrack
from pipeline.types import Color, Frame, Limits, OnTick
from tests.pipeline.faces.pictures import demo_facts, facts
from tests.support.tracking import tracked

COLOR = demo_facts().color


def track(
    frames: list[Frame], folder: Path, choice: Any = "largest", limits: Limits | None = None
) -> FaceTrack:
    return follow(iter(frames), frames[0], len(frames), folder, choice=choice, limits=limits)


def follow(
    frames: Iterator[Frame],
    like: Frame,
    total: int,
    folder: Path,
    *,
    choice: Any = "largest",
    limits: Limits | None = None,
    color: Color = COLOR,
    device: str = "cpu",
    on_tick: OnTick = lambda _tick: None,
) -> FaceTrack:
    return tracked(
        frames,
        facts([like] * total, color),
        total,
        folder,
        choice=choice,
        limits=limits,
        device=device,
        on_tick=on_tick,
    )
