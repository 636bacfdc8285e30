"""The face of some frames, tracked as tests and benchmarks want it: on one processor, silently."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pipeline.faces.track import FaceTrack, Tracking, track_faces
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
    how = Tracking(choice, limits or Limits(), scratch, device, threads=1)
    return track_faces(iter(frames), video, how, total, on_tick)
