"""Garbage gives a typed error, soon, and without much memory."""

from __future__ import annotations

import os
import random
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import av
import pytest

from pipeline.audio import load_speech
from pipeline.decode import FrameReader
from pipeline.errors import InputError, InputUnreadable, MediaLimitExceeded
from pipeline.probe import probe_audio, probe_video
from pipeline.types import Limits
from schemas.request import RenderOptions
from tests.support.media import Clip, Tone, write_clip, write_picture, write_sound

pytestmark = pytest.mark.timeout(60)

ROOT = Path(__file__).parents[2]
GOOD = [
    "a.mp4",
    "fast.mp4",
    "a.mkv",
    "a.ts",
    "a.avi",
    "a.mp3",
    "a.flac",
    "a.ogg",
    "a.wav",
    "a.m4a",
    "p.jpg",
    "p.png",
    "p.webp",
]


def _make(path: Path) -> Path:
    sound = Tone(1.2)
    if path.name == "p.png":
        return write_picture(path, 161, 121)
    if path.name == "p.jpg":
        return write_picture(path, 160, 120, codec="mjpeg", pix_fmt="yuvj420p")
    if path.name == "p.webp":
        return write_picture(path, 160, 120, codec="libwebp", pix_fmt="yuv420p")
    coders = {".mp3": "libmp3lame", ".flac": "flac", ".wav": "pcm_s16le", ".m4a": "aac"}
    if path.suffix in coders:
        return write_sound(path, Tone(1.2, codec=coders[path.suffix]))
    if path.suffix == ".ogg":
        return write_sound(path, Tone(1.2, codec="libopus", rate=48_000))
    fast = {"movflags": "faststart"} if path.name == "fast.mp4" else {}
    codec = "mpeg4" if path.suffix == ".avi" else "libx264"
    if path.suffix == ".avi":
        sound = Tone(1.2, codec="libmp3lame")
    return write_clip(path, Clip(frames=30, gop=10, codec=codec, sound=sound, muxer=fast))


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("good")
    for name in GOOD:
        _make(folder / name)
    return folder


def use(path: Path) -> set[str]:
    """Do with a file what a job does; the names of the typed errors, or what worked."""
    limits = Limits(max_video_s=60, max_audio_s=60)
    seen: set[str] = set()
    try:
        video = probe_video(path, limits, RenderOptions())
        count = min(video.frames, 60)
        for frame in FrameReader(video, 1).read([*range(count), *range(count - 1, -1, -1)]):
            assert (frame.width, frame.height) == (video.width, video.height)
        seen.add("video")
    except InputError as error:
        seen.add(type(error).__name__)
    try:
        facts = probe_audio(path, limits)
        assert load_speech(path, limits).duration == facts.duration
        seen.add("audio")
    except InputError as error:
        seen.add(type(error).__name__)
    return seen


@pytest.mark.parametrize("name", GOOD)
def test_a_file_cut_anywhere_works_or_gives_a_typed_error(
    good: Path, tmp_path: Path, name: str
) -> None:
    assert use(good / name) & {"video", "audio"}
    data = (good / name).read_bytes()
    cuts = [1, 4, 8, 12, 32, 100, 1000, *(len(data) * k // 10 for k in range(1, 10)), len(data) - 1]
    path = tmp_path / name
    for cut in cuts:
        path.write_bytes(data[:cut])
        assert use(path)


@pytest.mark.slow
@pytest.mark.parametrize("name", GOOD)
def test_a_mutated_file_works_or_gives_a_typed_error(good: Path, tmp_path: Path, name: str) -> None:
    rng = random.Random(name)
    data = (good / name).read_bytes()
    path = tmp_path / name
    for _ in range(25):
        path.write_bytes(_mutated(data, rng))
        assert use(path)


def _mutated(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    reach = rng.choice([len(changed), min(len(changed), 4096)])
    for _ in range(rng.choice([1, 4, 16, 64, 256])):
        changed[rng.randrange(reach)] = rng.randrange(256)
    if rng.random() < 0.3:
        start = rng.randrange(len(changed))
        del changed[start : start + rng.randrange(2000)]
    return bytes(changed)


def test_an_avi_that_cannot_be_read_from_its_start_again_is_typed(
    good: Path, tmp_path: Path
) -> None:
    data = bytearray((good / "a.avi").read_bytes())
    at = data.index(b"idx1") + 36
    data[at : at + 4] = b"\xff\xff\xff\xff"  # where the index says that a chunk lies
    (tmp_path / "a.avi").write_bytes(data)
    assert "InputUnreadable" in use(tmp_path / "a.avi")


TEXTS = {
    "words": b"Hello, this is no video.\n" * 100,
    "hls": b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n",
    "hls to the network": b"#EXTM3U\n#EXTINF:9,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n",
    "concat": b"ffconcat version 1.0\nfile 'a.mp4'\n",
    "dash": b'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"></MPD>',
    "sdp": b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nt=0 0\nm=video 5004 RTP/AVP 96\n",
    "subtitles": b"1\n00:00:00,000 --> 00:00:01,000\nhi\n",
    "svg": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/hostname"/></svg>',
    "metadata": b";FFMETADATA1\ntitle=x\n",
    "zeros": bytes(100_000),
    "noise": random.Random(1).randbytes(100_000),
}


@pytest.mark.parametrize("suffix", [".mp4", ".wav", ".png", ".m3u8", ".ffconcat", ".txt"])
@pytest.mark.parametrize("text", list(TEXTS))
def test_texts_and_playlists_are_refused_whatever_their_name(
    good: Path, tmp_path: Path, text: str, suffix: str
) -> None:
    (tmp_path / "a.mp4").write_bytes((good / "a.mp4").read_bytes())  # what the playlist names
    path = tmp_path / f"input{suffix}"
    path.write_bytes(TEXTS[text])
    with pytest.raises(InputUnreadable):
        probe_video(path, Limits(), RenderOptions())
    with pytest.raises((InputUnreadable, InputError)):
        probe_audio(path, Limits())


def test_only_regular_files_are_opened(good: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.mp4")
    (tmp_path / "loop.mp4").symlink_to(tmp_path / "loop.mp4")
    (tmp_path / "dangling.mp4").symlink_to(tmp_path / "nothing")
    (tmp_path / "empty.mp4").touch()
    bad = [
        tmp_path,
        tmp_path / "nothing.mp4",
        *(tmp_path / f"{name}.mp4" for name in ("fifo", "loop", "dangling", "empty")),
        Path("/dev/zero"),
        Path("/dev/null"),
        tmp_path / ("x" * 5000),
        tmp_path / "nul\0l.mp4",
    ]
    for path in bad:
        with pytest.raises(InputUnreadable):
            probe_video(path, Limits(), RenderOptions())
        with pytest.raises(InputUnreadable):
            probe_audio(path, Limits())
    (tmp_path / "link.mp4").symlink_to(good / "a.mp4")
    assert probe_video(tmp_path / "link.mp4", Limits(), RenderOptions()).frames == 30


@pytest.mark.parametrize(
    "name", ["wrong.jpg", "wrong.txt", "wrong.m3u8", "x%03d.png", "concat:a|b.mp4", "*.png", "-i"]
)
def test_names_mean_nothing(good: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes((good / "a.mp4").read_bytes())
    assert use(tmp_path / name) == {"video", "audio"}


def _png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        tail = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + tail

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(1000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


def _jpeg(good: Path, side: int) -> bytes:
    data = bytearray((good / "p.jpg").read_bytes())
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", side, side)
    return bytes(data)


def _huge_stream(good: Path) -> bytes:
    """An MP4 that claims a huge picture and has no parameter sets to gainsay it."""
    data = bytearray((good / "fast.mp4").read_bytes())
    at = data.index(b"avc1", data.index(b"stsd"))
    data[at + 28 : at + 32] = struct.pack(">HH", 20_000, 20_000)
    extra = data.index(b"avcC")
    data[extra + 4 : extra + 40] = bytes(36)
    return bytes(data)


def _long_table(good: Path, entry: int) -> bytes:
    """An MP4 whose time table claims 2^31 ticks a picture, or as many pictures."""
    data = bytearray((good / "fast.mp4").read_bytes())
    at = data.index(b"stts") + entry
    data[at : at + 4] = struct.pack(">I", 2**31 - 1)
    return bytes(data)


def _bombs(good: Path) -> dict[str, bytes]:
    wav = bytearray((good / "a.wav").read_bytes())
    at = wav.index(b"data")
    wav[at + 4 : at + 8] = b"\xff\xff\xff\xff"
    return {
        "100000x100000.png": _png(100_000, 100_000),
        "30000x30000.png": _png(30_000, 30_000),
        "10x60000.png": _png(10, 60_000),
        "65000x65000.jpg": _jpeg(good, 65_000),
        "20000x20000.mp4": _huge_stream(good),
        "ticks.mp4": _long_table(good, 16),
        "pictures.mp4": _long_table(good, 12),
        "endless.wav": bytes(wav),
    }


def test_huge_claims_are_refused_by_their_numbers(good: Path, tmp_path: Path) -> None:
    bombs = _bombs(good)
    for name, limit, value in [
        ("100000x100000.png", "max_side", 100_000),
        ("10x60000.png", "max_side", 60_000),
        ("65000x65000.jpg", "max_side", 65_000),
    ]:
        (tmp_path / name).write_bytes(bombs[name])
        with pytest.raises(MediaLimitExceeded) as caught:
            probe_video(tmp_path / name, Limits(), RenderOptions())
        assert caught.value.detail["limit"] == limit
        assert caught.value.detail["value"] == value
        assert str(value) in caught.value.message


def test_a_coded_size_above_the_limit_is_refused_by_its_numbers(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "wide.mp4", Clip(width=8448, height=48, frames=1))
    with pytest.raises(MediaLimitExceeded, match="8448x48") as caught:
        probe_video(path, Limits(), RenderOptions())
    assert caught.value.detail == {"limit": "max_side", "value": 8448, "max": 8192}


def test_ten_hours_in_a_kilobyte_are_refused_by_the_header(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mkv", Clip(frames=2))
    data = bytearray(path.read_bytes())
    at = data.index(b"\x44\x89\x88") + 3  # Segment/Info/Duration, a float64 of milliseconds
    data[at : at + 8] = struct.pack(">d", 36_000_000.0)
    path.write_bytes(data)
    with pytest.raises(MediaLimitExceeded) as caught:
        probe_video(path, Limits(), RenderOptions())
    assert caught.value.detail["value"] == pytest.approx(36_000)


_MEASURE = """
import sys
from pathlib import Path
from tests.hostile.test_media import use
from tests.support.media import peak_mb
use(Path(sys.argv[1]))
before = peak_mb()
for name in sys.argv[2:]:
    print(name, sorted(use(Path(name))), file=sys.stderr)
print(peak_mb() - before)
"""


@pytest.mark.slow
def test_bombs_take_little_memory(good: Path, tmp_path: Path) -> None:
    names = []
    for name, data in _bombs(good).items():
        (tmp_path / name).write_bytes(data)
        names.append(str(tmp_path / name))
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE, str(good / "a.mp4"), *names],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 150, done.stderr


@pytest.mark.parametrize("count", [17, 300, 1000])
def test_a_file_of_many_streams_is_refused(tmp_path: Path, count: int) -> None:
    path = tmp_path / "many.mov"
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("pcm_s16le", rate=8000) for _ in range(count)]
        for stream in streams:
            assert isinstance(stream, av.AudioStream)
            stream.codec_context.layout = "mono"
        for stream in streams:
            assert isinstance(stream, av.AudioStream)
            frame = av.AudioFrame("s16", "mono", 8)
            frame.sample_rate = 8000
            container.mux(stream.encode(frame))
    with pytest.raises(MediaLimitExceeded) as of_sound:
        probe_audio(path, Limits())
    with pytest.raises(MediaLimitExceeded) as of_video:
        probe_video(path, Limits(), RenderOptions())
    assert of_sound.value.detail["limit"] == of_video.value.detail["limit"] == "max_streams"


def test_coders_off_the_list_stay_shut(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mkv", Clip(frames=2, codec="snow", options={"strict": "-2"}))
    with pytest.raises(InputUnreadable, match="no decoder") as caught:
        probe_video(path, Limits(), RenderOptions())
    assert caught.value.detail["codec"] == "snow"
