"""Opening a finished file and following the face in it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from pipeline.errors import NoAudio, PipelineError
from pipeline.faces.track import Tracking, track_faces
from pipeline.quality.mouths import Mouths, read_mouths
from pipeline.reading.audio import Speech, load_speech
from pipeline.reading.decode import FrameReader
from pipeline.reading.probe import probe_video
from pipeline.types import Limits, Tick, VideoFacts
from schemas.request import FaceBox, RenderOptions

LIMITS = Limits(max_video_s=float("inf"), max_audio_s=float("inf"), probe_timeout_s=600.0)


@dataclass(frozen=True, slots=True)
class Watched:
    """One file: its picture and the mouth in it."""

    video: VideoFacts
    reader: FrameReader
    mouths: Mouths
    """Of as many frames as were looked at."""
    faces: int = 1
    """Faces that were told apart in it."""


def watch(
    path: Path,
    device: str = "cpu",
    threads: int = 2,
    *,
    most: int | None = None,
    max_height: int | None = None,
    template: Tensor | None = None,
    choice: Literal["largest"] | FaceBox = "largest",
) -> Watched:
    """Follow a face of a file.

    Args:
        most: frames that are looked at; else all.
        max_height: higher pictures are scaled down, as a render does it.
        template: see `pipeline.quality.mouths.read_mouths`.
        choice: which face, see `pipeline.faces.track.Tracking`.

    Raises:
        InputUnreadable, NoVideo: not a video.
        NoFace: no frame shows a usable face.
        WeightsMissing: the face models are not on this machine.
    """
    video = probe_video(path, LIMITS, RenderOptions(max_height=max_height))
    frames = video.frames if most is None else min(most, video.frames)
    reader = FrameReader(video, threads)
    with tempfile.TemporaryDirectory(prefix="face2face-") as scratch, torch.inference_mode():
        how = Tracking(choice, LIMITS, Path(scratch), device, threads)
        track = track_faces(reader.read(range(frames)), video, how, frames, _ignore)
        return Watched(video, reader, read_mouths(track, template), track.faces_seen)


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread per torch operator, as a render has it: waiting threads would spin."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _ignore(tick: Tick) -> None:
    del tick


def listen_to(path: Path, audio: Path | None, transcript: str | None = None) -> Speech | None:
    """The speech of an output: of the file that it was made from, else its own sound track.

    Returns:
        None where the output has no sound and no file is named.
    """
    if audio is not None:
        return replace(load_speech(audio, LIMITS), transcript=transcript)
    try:
        return replace(load_speech(path, LIMITS), transcript=transcript)
    except NoAudio:
        return None


def listen_under(reference: Path) -> Speech | None:
    """A reference's own sound, counted from its first picture.

    Returns:
        None where it has none that decodes, which is no reason to fail.
    """
    try:
        return load_speech(reference, LIMITS, under_picture=True)
    except PipelineError:
        return None
