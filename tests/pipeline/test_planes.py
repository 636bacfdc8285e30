"""Planes to RGB and back, against FFmpeg and against the promise to touch nothing else."""

from __future__ import annotations

import av
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.planes import Window, mix, read_rgb
from pipeline.types import Color, Frame
from tests.pipeline.engines.single import write_rgb

BT709 = Color(matrix=1, full_range=False, primaries=1, transfer=1)
BT601 = Color(matrix=6, full_range=False, primaries=6, transfer=6)
FULL = Color(matrix=6, full_range=True, primaries=1, transfer=1)
COLORS = pytest.mark.parametrize("color", [BT709, BT601, FULL])


def _smooth(height: int, width: int, low: int = 90, high: int = 180) -> Frame:
    y, x = np.mgrid[:height, :width]
    luma = low + (high - low) * (0.5 + 0.5 * np.sin(x / 17) * np.cos(y / 23))
    v, u = np.mgrid[: height // 2, : width // 2]
    planes = [luma, 128 + 30 * np.sin(u / 11), 128 + 30 * np.cos(v / 9)]
    y_plane, u_plane, v_plane = (torch.from_numpy(p.astype(np.uint8)) for p in planes)
    return Frame(y_plane, u_plane, v_plane, index=0)


# Samples of fully saturated colours, ITU-R BT.601 and BT.709 in their limited range, and JFIF.
SATURATED = [
    (BT601, (81, 90, 240), (255, 0, 0)),
    (BT601, (145, 54, 34), (0, 255, 0)),
    (BT709, (63, 102, 240), (255, 0, 0)),
    (BT709, (173, 42, 26), (0, 255, 0)),
    (BT709, (16, 128, 128), (0, 0, 0)),
    (BT709, (235, 128, 128), (255, 255, 255)),
    (FULL, (76, 85, 255), (255, 0, 0)),
    (FULL, (255, 128, 128), (255, 255, 255)),
]


@pytest.mark.parametrize(("color", "samples", "rgb"), SATURATED)
def test_saturated_colours_are_those_of_the_standards(
    color: Color, samples: tuple[int, int, int], rgb: tuple[int, int, int]
) -> None:
    y, u, v = (torch.full((4, 4), value, dtype=torch.uint8) for value in samples)
    frame = Frame(y, u[:2, :2], v[:2, :2], index=0)
    got = read_rgb(frame, Window(0, 0, 4, 4), color)
    want = torch.tensor(rgb).reshape(3, 1, 1)
    assert (got.int() - want).abs().max() <= 2
    back = write_rgb(
        frame, want.expand(3, 4, 4).to(torch.uint8), torch.full_like(y, 255), _ALL, color
    )
    apart = [int(a[0, 0]) - b for a, b in zip((back.y, back.u, back.v), samples, strict=True)]
    assert max(abs(value) for value in apart) <= 1


_ALL = Window(0, 0, 4, 4)


@COLORS
def test_rgb_is_what_ffmpeg_gives(color: Color) -> None:
    frame = _smooth(96, 128)
    planar = np.concatenate([p.numpy().reshape(-1) for p in (frame.y, frame.u, frame.v)])
    picture = av.VideoFrame.from_ndarray(planar.reshape(144, 128), format="yuv420p")
    want = picture.reformat(
        format="rgb24",
        src_colorspace="ITU709" if color.matrix == 1 else "ITU601",
        src_color_range="JPEG" if color.full_range else "MPEG",
        dst_color_range="JPEG",
        interpolation="BICUBIC",
    ).to_ndarray()
    got = read_rgb(frame, Window(0, 0, 128, 96), color).permute(1, 2, 0).numpy()
    apart = np.abs(got.astype(int) - want.astype(int))
    assert apart.max() <= 6
    assert apart.mean() < 2  # libswscale's fast path rounds down


@COLORS
def test_windows_read_the_same_as_the_whole_frame(color: Color) -> None:
    frame = _smooth(64, 80)
    whole = read_rgb(frame, Window(0, 0, 80, 64), color)
    for window in (Window(3, 5, 31, 40), Window(0, 1, 17, 64), Window(50, 33, 80, 64)):
        part = whole[:, window.y0 : window.y1, window.x0 : window.x1]
        assert torch.equal(read_rgb(frame, window, color), part)


@COLORS
def test_writing_back_what_was_read_changes_hardly_anything(color: Color) -> None:
    frame = _smooth(64, 80)
    window = Window(11, 7, 71, 52)
    rgb = read_rgb(frame, window, color)
    full = torch.full((45, 60), 255, dtype=torch.uint8)
    got = write_rgb(frame, rgb, full, window, color)
    for before, after in ((frame.y, got.y), (frame.u, got.u), (frame.v, got.v)):
        assert (before.int() - after.int()).abs().max() <= 2
    assert got.index == frame.index


side = st.integers(2, 40)


@settings(max_examples=40, deadline=None)
@given(x=st.integers(0, 40), y=st.integers(0, 30), w=side, h=side, seed=st.integers(0, 99))
def test_samples_without_weight_are_bit_identical(
    x: int, y: int, w: int, h: int, seed: int
) -> None:
    frame, random = _smooth(70, 80), np.random.default_rng(seed)
    rgb = torch.from_numpy(random.integers(0, 256, (3, h, w)).astype(np.uint8))
    weight = torch.from_numpy(random.integers(0, 256, (h, w)).astype(np.uint8))
    weight[torch.from_numpy(random.random((h, w)) < 0.7)] = 0
    window = Window(x, y, x + w, y + h)
    got = write_rgb(frame, rgb, weight, window, BT709)
    touched = torch.zeros(70, 80, dtype=torch.bool)
    touched[y : y + h, x : x + w] = weight > 0
    assert torch.equal(got.y[~touched], frame.y[~touched])
    coarse = touched.reshape(35, 2, 40, 2).any(dim=3).any(dim=1)
    assert torch.equal(got.u[~coarse], frame.u[~coarse])
    assert torch.equal(got.v[~coarse], frame.v[~coarse])


@pytest.mark.parametrize("weight", [0, 1, 128, 254, 255])
def test_mix_is_exact_at_its_ends_and_rounds_between(weight: int) -> None:
    below, above = torch.arange(256, dtype=torch.uint8), torch.full((256,), 200, dtype=torch.uint8)
    got = mix(below, above, torch.full((256,), weight, dtype=torch.uint8)).int()
    want = (below.int() * (255 - weight) + above.int() * weight) / 255
    assert ((got - want).abs() <= 0.5 + 1e-3).all()
