"""Promise: encoders write one stream in turn, where grain asks for it, and nobody else pays."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import cache
from io import BytesIO
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from av.packet import Packet
from av.video.stream import VideoStream

from pipeline.evaluate.pixels import psnr
from pipeline.hardware import allow
from pipeline.types import AudioFacts, Frame
from pipeline.writing import fidelity, turns
from pipeline.writing.coding import Coding
from pipeline.writing.encode import Encoder
from pipeline.writing.permits import encoding
from pipeline.writing.turns import Turns
from tests.pipeline.writing.calls import BT709, frame_of, speech

WIDTH, HEIGHT, FRAMES = 640, 360, 45
CODING = Coding(WIDTH, HEIGHT, Fraction(25), BT709, crf=18)
GRAIN = 2.8
"""Standard deviation, levels: enough to fall below 45 dB at the default rate factor."""


@cache
def grainy(number: int) -> Frame:
    """An even light under grain that is new in every frame."""
    random = np.random.default_rng(number)
    light = np.linspace(90, 150, WIDTH)[None]
    luma = (light + random.normal(0, GRAIN, (HEIGHT, WIDTH))).round()
    grey = torch.full((HEIGHT // 2, WIDTH // 2), 128, dtype=torch.uint8)
    return Frame(torch.from_numpy(luma.astype(np.uint8)), grey, grey, number)


@cache
def even(number: int) -> Frame:
    """The same light without grain."""
    frame = grainy(number)
    luma = torch.linspace(90, 150, WIDTH).round().byte().expand(HEIGHT, -1).contiguous()
    return Frame(luma, frame.u, frame.v, number)


@cache
def calm(number: int) -> Frame:
    return frame_of(number, WIDTH, HEIGHT)


def written(
    path: Path, audio: AudioFacts, make: Callable[[int], Frame], frames: int = FRAMES
) -> Path:
    with Encoder(path, CODING, audio=audio, frames=frames, metadata={}) as out:
        for number in range(frames):
            out.write(make(number))
    return path


def test_an_encoder_that_fails_gives_its_permits_back() -> None:
    with av.open(BytesIO(), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=25)
        coder = Turns(stream, CODING)
        coder.encode(None)
        with pytest.raises(av.FFmpegError):
            coder.encode(av.VideoFrame(WIDTH, HEIGHT, "yuv420p"))  # behind the end
    assert encoding._taken == 0


def luma_db(path: Path, make: Callable[[int], Frame], start: int = 0) -> float:
    """Of the frames from one on."""
    lost = []
    with av.open(str(path)) as file:
        for number, frame in enumerate(file.decode(video=0)):
            assert frame.pts is not None
            assert frame.time_base is not None
            assert frame.pts * frame.time_base == Fraction(number, 25)
            back = frame.to_ndarray(format="yuv420p")[:HEIGHT]
            lost.append(float(np.square(make(number).y.numpy() / 1.0 - back).mean()))
    return psnr(float(np.mean(lost[start:])))


def packets_of(path: Path) -> list[Packet[VideoStream]]:
    with av.open(str(path)) as file:
        return [packet for packet in file.demux(video=0) if packet.size]


@pytest.fixture(scope="module")
def audio(tmp_path_factory: pytest.TempPathFactory) -> AudioFacts:
    return speech(tmp_path_factory.mktemp("speech"), 1.8)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, audio: AudioFacts) -> Path:
    """The grainy pictures, encoded."""
    return written(tmp_path_factory.mktemp("turns") / "made.mp4", audio, grainy)


def test_grain_that_changes_from_frame_to_frame_keeps_45_db_from_the_first_picture_on(
    made: Path,
) -> None:
    assert luma_db(made, grainy) >= 45
    packets = packets_of(made)
    assert len(packets) == FRAMES
    assert sum(p.is_keyframe for p in packets) == 1, "the first pictures are encoded again"


def test_large_pictures_are_bound_after_the_first_look_and_none_is_kept(
    tmp_path: Path, audio: AudioFacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "KEPT_PIXELS", WIDTH * HEIGHT - 1)
    large = written(tmp_path / "large.mp4", audio, grainy)
    assert luma_db(large, grainy, 25) >= 45
    assert [n for n, p in enumerate(packets_of(large)) if p.is_keyframe] == [0, 19]


@pytest.mark.parametrize("frames", [2, 12])
def test_a_film_that_ends_before_the_first_look_keeps_45_db(
    frames: int, tmp_path: Path, audio: AudioFacts
) -> None:
    short = written(tmp_path / "short.mp4", audio, grainy, frames)
    assert luma_db(short, grainy) >= 45
    assert len(packets_of(short)) == frames


def test_a_turn_begins_at_a_key_picture_where_grain_comes_later(
    tmp_path: Path, audio: AudioFacts
) -> None:
    film = written(tmp_path / "later.mp4", audio, lambda n: (grainy if n > 10 else even)(n), 75)
    packets = packets_of(film)
    assert [p.dts for p in packets] == sorted({p.dts for p in packets if p.dts is not None})
    assert [n for n, p in enumerate(packets) if p.is_keyframe] == [0, 50]
    assert luma_db(film, lambda n: grainy(n), 50) >= 45


def test_the_same_grain_is_lost_where_the_bound_does_not_follow(
    tmp_path: Path, audio: AudioFacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fidelity, "TARGET_DB", 0.0)
    assert luma_db(written(tmp_path / "held.mp4", audio, grainy), grainy) < 45


def test_pictures_without_grain_make_the_file_that_they_made_without_a_look(
    tmp_path: Path, audio: AudioFacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked = written(tmp_path / "looked.mp4", audio, calm).read_bytes()
    monkeypatch.setattr(fidelity, "TARGET_DB", 0.0)
    assert looked == written(tmp_path / "held.mp4", audio, calm).read_bytes()


def test_turns_fall_at_the_same_pictures_whatever_the_processors(
    made: Path, tmp_path: Path, audio: AudioFacts
) -> None:
    allow(processors=5)
    again = written(tmp_path / "again.mp4", audio, grainy)
    allow(processors=0)
    assert again.read_bytes() == made.read_bytes()
