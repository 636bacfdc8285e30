"""The MP4 that comes out: exact clock, the source's colours and words, sound under the picture."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from pipeline.audio import load_speech
from pipeline.encode import Encoder
from pipeline.errors import EngineFailed, OutputInvalid
from pipeline.hardware import allow
from pipeline.mark.words import container_metadata
from pipeline.permits import Permits
from pipeline.probe import probe_audio, probe_video
from pipeline.timeline import Timeline
from pipeline.types import AudioFacts, Color, Frame, Limits
from pipeline.verify import verify
from pipeline.x264 import threads_for
from schemas.request import RenderOptions
from tests.support.media import Tone, number_of, picture, write_sound

NTSC = Fraction(30_000, 1001)
BT709 = Color(1, False, 1, 1)


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


def encoder(path: Path, audio: AudioFacts, frames: int, **changes: object) -> Encoder:
    settings: dict[str, object] = {
        "width": 192,
        "height": 128,
        "fps": Fraction(25),
        "color": BT709,
        "crf": 18,
        "metadata": container_metadata("job-1", "viseme", "r1"),
    }
    settings.update(changes)
    return Encoder(path, audio=audio, frames=frames, **settings)  # type: ignore[arg-type]


def encode(path: Path, audio: AudioFacts, frames: int, **changes: object) -> Path:
    with encoder(path, audio, frames, **changes) as out:
        for number in range(frames):
            out.write(frame_of(number))
        out.close()
    return path


@pytest.mark.parametrize("fps", [Fraction(25), NTSC, Fraction(25, 2), Fraction(1350, 61)])
def test_every_frame_lasts_exactly_one_period(tmp_path: Path, fps: Fraction) -> None:
    audio = speech(tmp_path, 2.0)
    timeline = Timeline.fit(audio.duration, fps, 1)
    path = encode(tmp_path / "out.mp4", audio, timeline.frames, fps=fps)
    facts = verify(path, timeline, audio).media
    assert facts.frames == timeline.frames
    assert Fraction(facts.fps) == fps
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.time_base is not None
        times = sorted(
            p.pts * stream.time_base for p in container.demux(stream) if p.pts is not None
        )
    assert times == [n / fps for n in range(timeline.frames)]
    again = probe_video(path, Limits(), RenderOptions())
    assert (again.fps, again.frames, again.variable_rate) == (fps, timeline.frames, False)


def test_pictures_come_out_in_order_and_nearly_unchanged(tmp_path: Path) -> None:
    path = encode(tmp_path / "out.mp4", speech(tmp_path, 2.0), 50, crf=10)
    with av.open(str(path)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            luma = frame.to_ndarray()[:128]
            assert number_of(luma) == number
            error = np.abs(luma.astype(int) - frame_of(number).y.numpy()).mean()
            assert error < 1.5


@pytest.mark.parametrize(
    "color", [BT709, Color(6, False, 6, 6), Color(1, True, 1, 1), Color(9, False, 9, 16)]
)
def test_color_tags_are_in_the_stream_and_in_the_container(tmp_path: Path, color: Color) -> None:
    path = encode(tmp_path / "out.mp4", speech(tmp_path, 0.2), 5, color=color)
    assert probe_video(path, Limits(), RenderOptions()).color == color
    data = path.read_bytes()
    at = data.index(b"colrnclx")
    words = [int.from_bytes(data[at + 8 + 2 * n : at + 10 + 2 * n], "big") for n in range(3)]
    assert words == [color.primaries, color.transfer, color.matrix]
    assert bool(data[at + 14] >> 7) is color.full_range


def test_full_range_planes_are_not_squeezed(tmp_path: Path) -> None:
    luma = torch.full((128, 192), 255, dtype=torch.uint8)
    chroma = torch.full((64, 96), 128, dtype=torch.uint8)
    path = tmp_path / "out.mp4"
    with encoder(path, speech(tmp_path, 0.04), 1, color=Color(1, True, 1, 1), crf=1) as out:
        out.write(Frame(luma, chroma, chroma, 0))
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        assert frame.color_range == 2
        assert frame.to_ndarray()[:128].min() >= 253


def test_words_of_one_s_own_survive(tmp_path: Path) -> None:
    path = encode(tmp_path / "out.mp4", speech(tmp_path, 0.2), 5)
    with av.open(str(path)) as container:
        words = dict(container.metadata)
    assert json.loads(words["AIGC"])["Label"] == "1"
    assert words["digitalSourceType"].startswith("http://cv.iptc.org/newscodes/digitalsourcetype/")
    assert "Face2Face" in words["comment"]


def test_the_file_can_be_played_while_it_loads(tmp_path: Path) -> None:
    data = encode(tmp_path / "out.mp4", speech(tmp_path, 1.0), 25).read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_sound_and_picture_are_interleaved(tmp_path: Path) -> None:
    path = encode(tmp_path / "out.mp4", speech(tmp_path, 10.0, 44_100), 250)
    with av.open(str(path)) as container:
        behind = {"video": 0.0, "audio": 0.0}
        for packet in container.demux():
            if packet.dts is not None and packet.time_base is not None:
                behind[packet.stream.type] = float(packet.dts * packet.time_base)
                assert abs(behind["video"] - behind["audio"]) < 2.0


def test_the_same_input_makes_the_same_bytes_whatever_the_processors_and_jobs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audio = speech(tmp_path, 3.0)
    monkeypatch.setattr("pipeline.x264._PIXELS_OF_A_THREAD", 10_000)  # 3 threads for small pictures

    def digest(name: str) -> str:
        made = encode(tmp_path / name, audio, 75)
        return hashlib.sha256(made.read_bytes()).hexdigest()

    digests = set()
    for processors in (1, 1, 2, 5):
        allow(processors=processors)
        digests.add(digest("out.mp4"))
    with ThreadPoolExecutor(2) as pool:
        digests |= set(pool.map(digest, ["one.mp4", "two.mp4"]))
    allow(processors=0)
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("width", "height", "threads"),
    [(320, 240, 1), (1280, 720, 1), (1080, 1920, 2), (3840, 2160, 4)],
)
def test_threads_follow_from_the_picture_alone_and_are_written_into_the_file(
    width: int, height: int, threads: int, tmp_path: Path
) -> None:
    allow(processors=3)
    assert threads_for(width, height) == threads
    allow(processors=0)
    path = encode(tmp_path / "out.mp4", speech(tmp_path, 0.2), 5)
    assert b"threads=1 lookahead_threads=1" in path.read_bytes()


def test_encoders_of_many_jobs_never_use_more_threads_than_there_are_processors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audio, peaks = speech(tmp_path, 0.4), [0]
    monkeypatch.setattr("pipeline.x264._PIXELS_OF_A_THREAD", 15_000)  # 2 threads for small pictures

    class Watched(Permits):
        def take(self, count: int) -> int:
            taken = super().take(count)
            peaks.append(self._taken)
            return taken

    monkeypatch.setattr("pipeline.turns.encoding", Watched(lambda: 5))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: encode(tmp_path / f"{n}.mp4", audio, 10), range(8)))
    assert 2 <= max(peaks) <= 4, "a third encoder of two threads would be the sixth thread"


def test_no_version_and_no_date_is_written(tmp_path: Path) -> None:
    data = encode(tmp_path / "out.mp4", speech(tmp_path, 0.2), 5).read_bytes()
    assert b"Lavf" not in data
    assert b"Lavc" not in data
    start = data.index(b"mvhd")
    assert data[start + 8 : start + 16] == bytes(8)


def _clicks(path: Path) -> Iterator[float]:
    samples = load_speech(path, Limits()).samples
    for second in (1, 2, 3):
        start = round((second - 0.3) * 16_000)
        near = samples[start : start + 9600].abs() > 0.3
        yield (start + int(near.nonzero()[0])) / 16_000


@pytest.mark.parametrize(
    ("name", "tone", "rate"),
    [
        ("a.wav", Tone(3.4, clicks=True, codec="pcm_s16le", rate=16_000, layout="mono"), 16_000),
        ("a.wav", Tone(3.4, clicks=True, codec="pcm_s24le", rate=48_000), 48_000),
        ("a.wav", Tone(3.4, clicks=True, codec="pcm_s16le", rate=96_000), 48_000),
        ("a.wav", Tone(3.4, clicks=True, codec="pcm_s16le", rate=37_800), 44_100),
        ("a.wav", Tone(3.4, clicks=True, codec="pcm_s16le", rate=8_000, layout="mono"), 8_000),
        ("a.wav", Tone(3.4, clicks=True, codec="pcm_s16le", rate=5_500, layout="mono"), 8_000),
        ("a.mp3", Tone(3.4, clicks=True, codec="libmp3lame", rate=44_100), 44_100),
        ("a.m4a", Tone(3.4, clicks=True, rate=48_000, layout="5.1"), 48_000),
        ("a.ogg", Tone(3.4, clicks=True, codec="libopus", rate=48_000, layout="mono"), 48_000),
    ],
)
def test_sound_starts_with_the_picture_and_lasts_as_long_as_the_source(
    tmp_path: Path, name: str, tone: Tone, rate: int
) -> None:
    audio = probe_audio(write_sound(tmp_path / name, tone), Limits())
    timeline = Timeline.fit(audio.duration, Fraction(25), 1)
    path = encode(tmp_path / "out.mp4", audio, timeline.frames)
    assert verify(path, timeline, audio).media.audio_rate == rate
    with av.open(str(path)) as container:
        sound = container.streams.audio[0]
        assert sound.codec_context.name == "aac"
        assert sound.rate == rate
        assert sound.channels == min(2, audio.channels)
        assert sound.start_time == 0
        assert sound.duration is not None
        assert sound.time_base is not None
        assert abs(sound.duration * sound.time_base - audio.duration) <= Fraction(3, rate)
    assert list(_clicks(path)) == pytest.approx([1, 2, 3], abs=0.004)


def _fail_in_the_middle(path: Path, audio: AudioFacts) -> None:
    with encoder(path, audio, 25) as out:
        for number in range(10):
            out.write(frame_of(number))
        assert path.exists()
        raise RuntimeError("stop")


def test_leaving_by_an_error_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    with pytest.raises(RuntimeError, match="stop"):
        _fail_in_the_middle(path, speech(tmp_path, 1.0))
    assert not path.exists()


def test_another_number_of_frames_than_planned_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    with pytest.raises(OutputInvalid), encoder(path, speech(tmp_path, 1.0), 25) as out:
        out.write(frame_of(0))
    assert not path.exists()


def test_a_frame_of_another_size_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    with pytest.raises(EngineFailed), encoder(path, speech(tmp_path, 1.0), 25) as out:
        out.write(frame_of(0, 96, 64))
    assert not path.exists()


def test_closing_twice_is_allowed(tmp_path: Path) -> None:
    out = encoder(tmp_path / "out.mp4", speech(tmp_path, 0.04), 1)
    with out:
        out.write(frame_of(0))
        out.close()
        out.close()
    assert (tmp_path / "out.mp4").exists()


def test_a_frame_may_be_a_view_and_is_not_written_into(tmp_path: Path) -> None:
    big = frame_of(3, 384, 256)
    view = Frame(big.y[:128, 96:288], big.u[:64, 48:144], big.v[:64, 48:144], 0)
    before = big.y.clone()
    with encoder(tmp_path / "out.mp4", speech(tmp_path, 0.04), 1, crf=1) as out:
        out.write(view)
    assert torch.equal(big.y, before)
    with av.open(str(tmp_path / "out.mp4")) as container:
        got = next(container.decode(video=0)).to_ndarray()[:128]
    assert np.abs(got.astype(int) - view.y.numpy()).max() <= 3


_FULL_DISK = """
import sys
from fractions import Fraction
from pathlib import Path
from pipeline.sandbox import limit_process
from pipeline.types import Limits
from pipeline.probe import probe_audio
from tests.pipeline.test_encode import encode
folder = Path(sys.argv[1])
audio = probe_audio(folder / "speech-16000.wav", Limits())
limit_process(max_file_bytes=20_000)
try:
    encode(folder / "out.mp4", audio, 200, crf=1)
except OSError as error:
    print(type(error).__name__, error.errno, (folder / "out.mp4").exists())
"""


@pytest.mark.slow
def test_a_disk_that_takes_no_more_is_an_os_error(tmp_path: Path) -> None:
    speech(tmp_path, 8.0)
    done = subprocess.run(
        [sys.executable, "-c", _FULL_DISK, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[1:] == ["27", "False"], done.stdout  # EFBIG


@pytest.mark.slow
def test_ten_minutes_at_29_97_drift_by_nothing(tmp_path: Path) -> None:
    audio = speech(tmp_path, 600.0, 8_000)
    timeline = Timeline.fit(audio.duration, NTSC, 1)
    assert timeline.frames == 17_982
    path = tmp_path / "long.mp4"
    grey = [torch.full((16, 16), 60 + n, dtype=torch.uint8) for n in range(8)]
    chroma = torch.full((8, 8), 128, dtype=torch.uint8)
    with encoder(path, audio, timeline.frames, width=16, height=16, fps=NTSC) as out:
        for number in range(timeline.frames):
            out.write(Frame(grey[number % 8], chroma, chroma, 0))
    facts = verify(path, timeline, audio).media
    assert facts.frames == 17_982
    with av.open(str(path)) as container:
        video, sound = container.streams.video[0], container.streams.audio[0]
        assert video.duration is not None
        assert sound.duration is not None
        assert video.time_base is not None
        assert sound.time_base is not None
        picture_s = video.duration * video.time_base
        sound_s = sound.duration * sound.time_base
    assert picture_s == 17_982 / NTSC
    assert abs(picture_s - sound_s) < 1 / NTSC
