"""How the tests of encoding write an MP4 of numbered pictures."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import torch

from pipeline.mark.words import container_metadata
from pipeline.reading.probe import probe_audio
from pipeline.types import AudioFacts, Color, Frame, Limits
from pipeline.writing.coding import Coding
from pipeline.writing.encode import Encoder
from tests.support.media import Tone, picture, write_sound

NTSC = Fraction(30_000, 1001)
BT709 = Color(1, False, 1, 1)
CODING = Coding(192, 128, Fraction(25), BT709, crf=18)


def frame_of(number: int, width: int = 192, height: int = 128) -> Frame:
    """The numbered test picture as planes."""
    drawn = av.VideoFrame.from_ndarray(picture(number, width, height), "rgb24")
    values = torch.from_numpy(drawn.reformat(format="yuv420p").to_ndarray())
    rows = height // 4
    u, v = values[height : height + rows], values[height + rows :]
    half = (height // 2, width // 2)
    return Frame(values[:height].clone(), u.reshape(half).clone(), v.reshape(half).clone(), number)


def speech(folder: Path, seconds: float, rate: int = 16_000, **more: object) -> AudioFacts:
    tone = Tone(seconds, codec="pcm_s16le", rate=rate, layout="mono", **more)  # type: ignore[arg-type]
    return probe_audio(write_sound(folder / f"speech-{rate}.wav", tone), Limits())


def encoder(
    path: Path,
    audio: AudioFacts,
    frames: int,
    *,
    metadata: dict[str, str] | None = None,
    device: str | None = None,
    **changes: Any,
) -> Encoder:
    """An encoder of the numbered pictures; `changes` are those of `Coding`."""
    words = container_metadata("job-1", "viseme", "r1") if metadata is None else metadata
    coding = replace(CODING, **changes)
    return Encoder(path, coding, audio=audio, frames=frames, metadata=words, device=device)


def encode(path: Path, audio: AudioFacts, frames: int, **changes: Any) -> Path:
    """The file of the first numbered pictures; `changes` as for `encoder`."""
    with encoder(path, audio, frames, **changes) as out:
        for number in range(frames):
            out.write(frame_of(number))
        out.close()
    return path
