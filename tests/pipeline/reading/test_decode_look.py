"""Pictures come upright, whole and in their own colours."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.types import Frame
from tests.pipeline.reading.calls import facts, numbers, read
from tests.support.media import BITS, Clip, picture, write_clip, write_picture


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_pictures_are_upright(tmp_path: Path, rotation: int) -> None:
    path = write_clip(tmp_path / "turned.mov", Clip(frames=8, rotation=rotation))
    got = read(path)
    assert numbers(got) == list(range(8))
    assert all(plane.is_contiguous() for frame in got for plane in (frame.y, frame.u, frame.v))


def test_mirrored_pictures_are_mirrored_back(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "mirror.mp4", Clip(frames=8, mirrored=True))
    assert numbers(read(path)) == list(range(8))


def _lossless(path: Path, width: int, height: int, pix_fmt: str, value_range: int) -> list[object]:
    """Random smooth planes, stored without loss; returns them."""
    rng = np.random.default_rng(3)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
        stream.codec_context.color_range = value_range
        stream.codec_context.colorspace = 1
        planes: list[object] = []
        frame = av.VideoFrame(width, height, pix_fmt)
        wide = "10" in pix_fmt
        for plane in frame.planes:
            top = 1024 if wide else 256
            values = rng.integers(0, top, (plane.height, plane.width))
            room = np.frombuffer(memoryview(plane), np.uint16 if wide else np.uint8)
            room = room.reshape(plane.height, -1)
            room[:, : plane.width] = values
            planes.append(values)
        frame.pts = 0
        frame.color_range = value_range
        frame.colorspace = 1
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return planes


@pytest.mark.parametrize("value_range", [1, 2])
def test_planes_arrive_bit_by_bit_with_their_range(tmp_path: Path, value_range: int) -> None:
    path = tmp_path / "exact.mkv"
    planes = _lossless(path, 62, 46, "yuv420p", value_range)
    frame = read(path)[0]
    assert facts(path).color.full_range is (value_range == 2)
    for got, want in zip((frame.y, frame.u, frame.v), planes, strict=True):
        assert np.array_equal(got.numpy(), np.asarray(want))


@pytest.mark.parametrize("value_range", [1, 2])
def test_ten_bits_become_eight_without_a_change_of_range(tmp_path: Path, value_range: int) -> None:
    path = tmp_path / "ten.mkv"
    planes = _lossless(path, 62, 46, "yuv420p10le", value_range)
    frame = read(path)[0]
    for got, want in zip((frame.y, frame.u, frame.v), planes, strict=True):
        scaled = np.asarray(want) / (4 if value_range == 1 else 1023 / 255)
        off = got.numpy() - scaled.clip(0, 255)
        assert np.abs(off).max() < 2, "dithered, not rounded"
        assert abs(off.mean()) < 0.5


def test_full_resolution_chroma_is_averaged_and_luma_untouched(tmp_path: Path) -> None:
    path = tmp_path / "full.mkv"
    luma = np.asarray(_lossless(path, 62, 46, "yuv444p", 2)[0])
    assert np.array_equal(read(path)[0].y.numpy(), luma)


def test_an_odd_edge_is_cropped_not_squeezed(tmp_path: Path) -> None:
    path = tmp_path / "odd.mkv"
    planes = _lossless(path, 63, 47, "yuv420p", 1)
    frame = read(path)[0]
    assert np.array_equal(frame.y.numpy(), np.asarray(planes[0])[:46, :62])
    assert np.array_equal(frame.u.numpy(), np.asarray(planes[1])[:23, :31])


def test_a_picture_becomes_limited_range_by_the_matrix_it_is_labelled_with(tmp_path: Path) -> None:
    path = write_picture(tmp_path / "p.png", 320, 240)
    frame = read(path)[0]
    rgb = picture(5, 320, 240).astype(np.float64)
    luma = 16 + (0.299 * rgb[..., 0] + 0.587 * rgb[..., 1] + 0.114 * rgb[..., 2]) * 219 / 255
    assert np.abs(frame.y.numpy() - luma).mean() < 1.0
    assert len(read(path, [0, 0, 0])) == 3


def test_scaling_keeps_the_picture(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", Clip(width=768, height=512, frames=6))
    small = read(path, max_height=256)
    assert (small[0].width, small[0].height) == (384, 256)
    assert [_scaled_number(frame) for frame in small] == list(range(6))


def _scaled_number(frame: Frame) -> int:
    step = frame.width // BITS
    row = frame.y[1].float()
    return sum(int(row[b * step + step // 2] > 125) << b for b in range(BITS))


def test_a_new_size_in_the_middle_is_scaled_to_the_first(tmp_path: Path) -> None:
    ordered = {"bf": "0"}
    first = write_clip(tmp_path / "a.ts", Clip(frames=20, options=ordered))
    times = [Fraction(n + 20, 25) for n in range(20)]
    second = write_clip(
        tmp_path / "b.ts", Clip(width=96, height=64, frames=20, times=times, options=ordered)
    )
    path = tmp_path / "both.ts"
    path.write_bytes(first.read_bytes() + second.read_bytes())
    got = read(path)
    assert {(frame.width, frame.height) for frame in got} == {(192, 128)}
    assert len(got) == 40
