"""Opening a finished file and following the face in it."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from pipeline.audio import Speech, load_speech
from pipeline.decode import FrameReader
from pipeline.errors import NoAudio
from pipeline.faces.track import track_faces
from pipeline.probe import probe_video
from pipeline.quality.mouths import Mouths, read_mouths
from pipeline.types import Limits, Tick, VideoFacts
from schemas.request import RenderOptions

LIMITS = Limits(max_video_s=float("inf"), max_audio_s=float("inf"), probe_timeout_s=600.0)


@dataclass(frozen=True, slots=True)
class Watched:
    """One file: its picture and the mouth in it."""

    video: VideoFacts
    reader: FrameReader
    mouths: Mouths


def watch(path: Path, device: str = "cpu", threads: int = 2) -> Watched:
    """Follow the largest face of a file from end to end.

    Raises:
        InputUnreadable, NoVideo: not a video.
        NoFace: no frame shows a usable face.
        WeightsMissing: the face models are not on this machine.
    """
    video = probe_video(path, LIMITS, RenderOptions())
    reader = FrameReader(video, threads)
    with tempfile.TemporaryDirectory(prefix="face2face-") as scratch, torch.inference_mode():
        track = track_faces(
            reader.read(range(video.frames)),
            video,
            choice="largest",
            limits=LIMITS,
            scratch=Path(scratch),
            device=device,
            threads=threads,
            on_tick=_ignore,
            total=video.frames,
        )
        return Watched(video, reader, read_mouths(track))


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
