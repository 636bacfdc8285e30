"""The face of some frames, tracked as tests and benchmarks want it: on one processor, silently."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pipeline.faces.track import FaceTrack, track_faces
from pipeline.types import Frame, Limits, OnTick, VideoFacts
from schemas.request import FaceBox


def tracked(
    frames: Iterable[Frame],
    video: VideoFacts,
    total: int,
    scratch: Path,
    *,
    choice: Literal["largest"] | FaceBox = "largest",
    limits: Limits | None = None,
    device: str = "cpu",
    on_tick: OnTick = lambda _tick: None,
) -> FaceTrack:
    """`track_faces` of so many frames; what is not given is what a job would have."""
    return track_faces(
        iter(frames),
        video,
        choice=choice,
        limits=limits or Limits(),
        scratch=scratch,
        device=device,
        threads=1,
        on_tick=on_tick,
        total=total,
    )
