"""Films of camcorders, editors and broadcasters, and sound of telephones, are read as they are."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from pipeline.reading.audio import load_speech
from pipeline.reading.probe import probe_audio
from pipeline.types import Limits
from tests.pipeline.reading.calls import facts, numbers, read
from tests.support.media import Clip, Tone, write_clip, write_sound
from tests.support.programmes import Programme, join_programmes

STUDIO = Tone(1.0, rate=48_000, codec="pcm_s16le")
FILMS = {
    "tape.dv": Clip(
        width=720, height=576, frames=25, codec="dvvideo", container="dv", sound=STUDIO
    ),
    "intra.mxf": Clip(
        width=640, height=480, frames=25, codec="mpeg2video", container="mxf", gop=1, sound=STUDIO
    ),
    "xavc.mxf": Clip(width=640, height=480, frames=25, container="mxf", sound=STUDIO),
    "cineform.mov": Clip(
        width=256, height=144, frames=25, codec="cfhd", pix_fmt="yuv422p10le", sound=STUDIO
    ),
}


@pytest.mark.parametrize("name", FILMS)
def test_films_of_camcorders_and_editors_are_whole(name: str, tmp_path: Path) -> None:
    path = write_clip(tmp_path / name, FILMS[name])
    video = facts(path)
    assert (video.fps, video.frames, video.variable_rate) == (Fraction(25), 25, False)
    assert numbers(read(path)) == list(range(25))
    assert numbers(read(path, [20, 3])) == [20, 3]
    assert probe_audio(path, Limits()).duration == 1


@pytest.mark.parametrize("codec", ["adpcm_yamaha", "adpcm_swf", "g726", "g722"])
def test_sound_of_telephones_is_heard(codec: str, tmp_path: Path) -> None:
    rate = {"g726": 8_000, "g722": 16_000}.get(codec, 22_050)
    tone = Tone(1.0, rate=rate, layout="mono", codec=codec, hertz=300)
    path = write_sound(tmp_path / "call.wav", tone)
    speech = load_speech(path, Limits())
    assert float(speech.duration) == pytest.approx(1, abs=0.15)
    assert float(speech.samples.square().mean().sqrt()) == pytest.approx(0.21, abs=0.03)


def test_the_sound_is_that_of_the_programme_that_is_watched(tmp_path: Path) -> None:
    """The other one's has more channels, and would be taken by itself."""
    watched = _programme(tmp_path / "a.ts", 1, Clip(320, 240, 50, sound=Tone(2.0, layout="mono")))
    other = Tone(2.0, rate=48_000, layout="5.1", hertz=880)
    beside = _programme(tmp_path / "b.ts", 2, Clip(96, 64, 50, sound=other))
    for first, second in ((watched, beside), (beside, watched)):
        path = join_programmes(tmp_path / "both.ts", first, second)
        assert facts(path).width == 320
        assert probe_audio(path, Limits()).channels == 1
        heard = np.abs(np.fft.rfft(load_speech(path, Limits()).samples[8000:24000].numpy()))
        assert int(heard.argmax()) == pytest.approx(220, abs=2)


def _programme(path: Path, number: int, clip: Clip) -> Programme:
    pid = 0x1000 + 0x100 * number
    muxer = {
        "mpegts_service_id": str(number),
        "mpegts_pmt_start_pid": str(pid),
        "mpegts_start_pid": str(0x100 * number),
    }
    made = Clip(clip.width, clip.height, clip.frames, muxer=muxer, sound=clip.sound)
    return write_clip(path, made), number, pid
