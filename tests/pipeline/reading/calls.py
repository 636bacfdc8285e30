"""How the tests of decoding read a clip."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

from pipeline.reading.decode import FrameReader
from pipeline.reading.probe import probe_video
from pipeline.types import Frame, Limits, VideoFacts
from schemas.request import RenderOptions
from tests.support.media import number_of

NTSC = Fraction(30_000, 1001)
B_FRAMES = {"x264-params": "bframes=3:b-adapt=0:b-pyramid=normal"}


def facts(path: Path, **options: object) -> VideoFacts:
    return probe_video(path, Limits(), RenderOptions.model_validate(options))


def read(path: Path, indices: Iterable[int] | None = None, **options: object) -> list[Frame]:
    video = facts(path, **options)
    return list(FrameReader(video, 1).read(range(video.frames) if indices is None else indices))


def numbers(frames: Iterable[Frame]) -> list[int]:
    return [number_of(frame.y) for frame in frames]
