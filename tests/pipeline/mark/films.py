"""Small moving pictures for tests of the watermark, and what is done to files on their way."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.mark.watermark import Watermark
from pipeline.types import Frame

Plane = NDArray[np.uint8]
WIDTH, HEIGHT = 512, 288


def scene(number: int, seed: int = 7, width: int = WIDTH, height: int = HEIGHT) -> Frame:
    """A coloured wall with a round thing that sways before it, and sensor noise of its own."""
    rng = np.random.default_rng(1000 * seed + number)
    hue = np.random.default_rng(seed).uniform(-1, 1, 6)
    y, x = np.mgrid[0:height, 0:width] / height
    sway = 0.9 + 0.05 * np.sin(number / 9 + seed)
    thing = np.exp(-((x - sway) ** 2 + (y - 0.55) ** 2) / 0.05)
    luma = 110 + 40 * np.sin(4 * x + seed) + 30 * np.cos(7 * y - seed) + 50 * thing
    u = 128 + 15 * hue[0] + 20 * hue[1] * np.sin(5 * x) + 25 * hue[2] * thing
    v = 128 + 15 * hue[3] + 20 * hue[4] * np.cos(6 * y) + 25 * hue[5] * thing
    planes = (luma + rng.normal(0, 2, luma.shape), u[::2, ::2], v[::2, ::2])
    y_plane, u_plane, v_plane = (
        torch.from_numpy(np.clip(np.rint(p), 0, 255).astype(np.uint8)) for p in planes
    )
    return Frame(y_plane, u_plane, v_plane, number)


def film(frames: int, seed: int = 7, width: int = WIDTH, height: int = HEIGHT) -> list[Frame]:
    """Frames of one scene."""
    return [scene(number, seed, width, height) for number in range(frames)]


def marked(frames: list[Frame], job_id: str) -> list[Frame]:
    """The frames with the watermark of a job."""
    mark = Watermark(job_id, frames[0].width, frames[0].height)
    return [mark.apply(frame) for frame in frames]


def write(
    path: Path,
    frames: list[Frame],
    crf: int,
    *,
    preset: str = "medium",
    size: tuple[int, int] | None = None,
    crop: tuple[int, int, int, int] = (0, 0, 0, 0),
) -> Path:
    """An MP4 by x264 with its own keyframes, and no metadata.

    Args:
        path: to write.
        frames: of one size.
        crf: x264's.
        preset: x264's.
        size: width and height after the crop.
        crop: pixels taken off left, top, right and bottom; even.
    """
    left, top, right, bottom = crop
    width, height = frames[0].width - left - right, frames[0].height - top - bottom
    with av.open(str(path), "w") as output:
        options = {"crf": str(crf), "preset": preset, "threads": "2"}
        stream = output.add_stream("libx264", rate=Fraction(25), options=options)
        stream.width, stream.height = size or (width, height)
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            planes = [
                plane.numpy()[top // k : top // k + height // k, left // k : left // k + width // k]
                for plane, k in ((frame.y, 1), (frame.u, 2), (frame.v, 2))
            ]
            flat = np.concatenate([np.ascontiguousarray(p).reshape(-1) for p in planes])
            picture = av.VideoFrame.from_ndarray(flat.reshape(-1, width), "yuv420p")
            if size is not None:
                picture = picture.reformat(*size, interpolation="BICUBIC")
            output.mux(stream.encode(picture))
        output.mux(stream.encode(None))
    return path


def read(path: Path) -> list[Frame]:
    """The frames of a file as they are decoded."""
    with av.open(str(path)) as container:
        return [_frame(frame, n) for n, frame in enumerate(container.decode(video=0))]


def chroma(frames: list[Frame], skip: int = 0) -> Iterator[tuple[Plane, Plane]]:
    """U and V of the frames."""
    return ((frame.u.numpy(), frame.v.numpy()) for frame in frames[skip:])


def _frame(picture: av.VideoFrame, number: int) -> Frame:
    rows = torch.from_numpy(picture.to_ndarray(format="yuv420p").copy()).reshape(-1)
    width, height = picture.width, picture.height
    luma, quarter = width * height, width * height // 4
    y, u, v = rows[:luma], rows[luma : luma + quarter], rows[luma + quarter :]
    half = (height // 2, width // 2)
    return Frame(y.reshape(height, width), u.reshape(half), v.reshape(half), number)
