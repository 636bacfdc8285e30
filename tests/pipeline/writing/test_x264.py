"""Promise: at the default rate factor, what nobody touched comes back at 45 dB, small or large."""

from __future__ import annotations

import io
from typing import Any

import av
import numpy as np
import pytest
import torch

from pipeline.evaluate.pixels import psnr
from pipeline.quality.picture import laplacian
from pipeline.writing import x264

CRF = 18
FRAMES = 12


def detailed(width: int, height: int) -> list[np.ndarray[Any, Any]]:
    """A textured surface that drifts by a pixel a frame: (height * 3 / 2, width) 8 bit, I420."""
    noise = np.random.default_rng(7).normal(128, 24, (height + FRAMES, width + FRAMES))
    texture = (noise + np.roll(noise, 1, 0) + np.roll(noise, 1, 1)) / 3
    made = np.full((FRAMES, height * 3 // 2, width), 128, np.uint8)
    for n in range(FRAMES):
        made[n, :height] = texture[n:][:height, n:][:, :width].clip(0, 255)
    return list(made)


def coded(
    frames: list[np.ndarray[Any, Any]], options: dict[str, str]
) -> list[np.ndarray[Any, Any]]:
    """Frames after encoding."""
    width, height = frames[0].shape[1], frames[0].shape[0] * 2 // 3
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=25, options=options)
        stream.width, stream.height = width, height
        for number, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(frame, format="yuv420p")
            picture.pts = number
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    with av.open(io.BytesIO(file.getvalue()), "r") as made:
        return [f.to_ndarray(format="yuv420p") for f in made.decode(video=0)]


def luma_db(frames: list[np.ndarray[Any, Any]], options: dict[str, str]) -> float:
    """Of luma over all frames after encoding, dB."""
    height = frames[0].shape[0] * 2 // 3
    back = coded(frames, options)
    lost = [
        np.square(a[:height] / 1.0 - b[:height]).mean() for a, b in zip(frames, back, strict=True)
    ]
    return psnr(float(np.mean(lost)))


@pytest.mark.parametrize("size", [(256, 160), (640, 360)])
def test_detail_keeps_45_db_in_small_pictures(size: tuple[int, int]) -> None:
    frames = detailed(*size)
    options = x264.options(CRF, *size)
    unbound = {**options, "x264-params": options["x264-params"].rpartition(":")[0]}
    assert luma_db(frames, options) >= 45
    assert luma_db(frames, unbound) < 45  # what the bound is for; else it can go


def detail(frames: list[np.ndarray[Any, Any]]) -> float:
    """Mean |Laplacian| of luma, as sharpness is measured."""
    lumas = [torch.from_numpy(f[: f.shape[0] * 2 // 3]).float() for f in frames]
    return sum(map(laplacian, lumas)) / len(lumas)


def grainy_skin(width: int, height: int) -> list[np.ndarray[Any, Any]]:
    """An evenly lit surface under faint grain that is new in every frame, as `detailed`."""
    random = np.random.default_rng(7)
    y, x = np.mgrid[:height, :width]
    light = 110 + 30 * np.sin(3 * x / width) + 20 * np.cos(2.5 * y / height)
    made = np.full((FRAMES, height * 3 // 2, width), 128, np.uint8)
    for luma in made[:, :height]:
        grain = random.normal(0, 0.75, (height, width))
        grain += np.roll(grain, 1, 0)
        luma[:] = (light + grain + np.roll(grain, 1, 1)).round()
    return list(made)


def test_skin_keeps_more_of_its_grain_than_by_the_codec_s_own_loop_filter() -> None:
    frames = grainy_skin(640, 360)
    options = x264.options(CRF, 640, 360)
    usual = {**options, "x264-params": options["x264-params"] + ":deblock=0,0"}
    assert detail(coded(frames, options)) > 1.05 * detail(coded(frames, usual))


@pytest.mark.parametrize("crf", [0, 18, 40])
@pytest.mark.parametrize("size", [(2, 2), (320, 180), (720, 540), (3840, 2160)])
def test_the_bound_lies_above_the_rate_factor_and_within_the_codec(
    crf: int, size: tuple[int, int]
) -> None:
    assert crf < x264.coarsest(crf, *size) <= 51
