"""What claims to be huge is refused by its numbers, soon, and without much memory."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from pathlib import Path

import av
import pytest

from pipeline.errors import InputUnreadable, MediaLimitExceeded
from pipeline.reading.probe import probe_audio, probe_video
from pipeline.types import Limits
from schemas.request import RenderOptions
from tests.support.media import Clip, write_clip

pytestmark = pytest.mark.timeout(60)
ROOT = Path(__file__).parents[2]


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
from tests.hostile.files import use
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
