"""From libavcodec's pictures to the pipeline's: upright, even, 8-bit 4:2:0 planes of their own.

Nothing here changes colours: matrix and range stay what the source says, and RGB becomes limited
range YCbCr by the matrix that `pipeline.types.Color` names. Only what ordinary screens cannot show
goes through `pipeline.reading.tone_map`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from av import VideoFrame
from av.video.plane import VideoPlane
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import avg_pool2d

from pipeline.reading.orientation import Orientation
from pipeline.reading.pixel_format import FULL, LIMITED, has_alpha, is_rgb
from pipeline.reading.plane_samples import samples
from pipeline.reading.tone_map import ToneMap
from pipeline.types import Color

Planes = tuple[Tensor, Tensor, Tensor]
Samples = NDArray[np.uint8]

_PLANAR_420 = ("yuv420p", "yuvj420p")
_SCALER = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.BITEXACT


def _before_white(planes: Planes, alpha: Tensor, white: int) -> Planes:
    """A picture whose transparent parts, whatever colour lies hidden there, are white paper.

    Args:
        alpha: (H, W) from 0, transparent, to 255.
        white: luma of white.
    """
    if int(alpha.amin()) == 255:
        return planes
    share = alpha.float() / 255
    small = avg_pool2d(share[None], 2)[0]
    y, u, v = (
        (level + (plane.float() - level) * part).round_().to(torch.uint8)
        for plane, part, level in zip(planes, (share, small, small), (white, 128, 128), strict=True)
    )
    return y, u, v


class Upright:
    """Converts the pictures of one stream.

    Args:
        hidden: whether nothing can be seen of the whole film, so that its transparency is not meant
            (`pipeline.reading.hidden_alpha`); asked at a picture of which nothing can be seen.
        source: how its pictures are to be read, where their colours are to be changed.
    """

    def __init__(
        self,
        width: int,
        height: int,
        color: Color,
        orientation: Orientation,
        hidden: Callable[[], bool] = lambda: True,
        source: Color | None = None,
    ) -> None:
        self._hidden = hidden
        self._tone = None if source is None else ToneMap(source)
        self._orientation = orientation
        self._coded = (height, width) if orientation.transpose else (width, height)
        self._color = color
        self._plain = orientation == Orientation()
        self._clear: dict[str, bool] = {}
        """Whether pictures of a format may be transparent: libavutil's tables are asked once."""
        self._reformatter = VideoReformatter()

    def planes(self, frame: VideoFrame) -> Planes:
        """Luma (H, W) and both chroma planes (H/2, W/2) of a picture, in memory of their own."""
        width, height = self._coded
        fits = frame.width & ~1 == width and frame.height & ~1 == height
        if self._tone is not None:
            size = (frame.width, frame.height) if fits else (width, height)
            layout = "yuva420p" if has_alpha(frame) else "yuv420p"
            frame, fits = self._tone.shown(frame, *size, layout), True
        name = frame.format.name
        if fits and name == "nv12":
            return self._interleaved(frame, width, height)
        if fits and name in _PLANAR_420:
            coded = frame.planes
            if coded[0].line_size > 0:
                return self._three(coded, width, height)
        if name not in self._clear:
            self._clear[name] = has_alpha(frame)
        clear = self._clear[name]
        coded = self._planar(frame, fits, "yuva420p" if clear else "yuv420p").planes
        planes = self._three(coded, width, height)
        if clear:
            alpha = self._plane(coded[3], width, height)
            if int(alpha.amax()) == 0 and self._hidden():
                return planes
            white = 255 if self._color.full_range else 235
            return _before_white(planes, alpha, white)
        return planes

    def _three(self, coded: Sequence[VideoPlane], width: int, height: int) -> Planes:
        """Luma and both chroma planes.

        Where they lie upright already, as nearly always, numpy copies them: it takes half of what
        torch's views take.
        """
        if self._plain:
            made = whole_planes(width, height)
            for plane, seen in zip(made, coded, strict=False):  # behind them may be transparency
                plane[...] = np.ndarray(
                    plane.shape, np.uint8, memoryview(seen), 0, (seen.line_size, 1)
                )
            return tensors_of(made)
        y, u, v = coded[:3]
        return (
            self._plane(y, width, height),
            self._plane(u, width // 2, height // 2),
            self._plane(v, width // 2, height // 2),
        )

    def _planar(self, frame: VideoFrame, fits: bool, layout: str) -> VideoFrame:
        width, height = self._coded
        span = FULL if self._color.full_range else LIMITED
        rgb = is_rgb(frame)
        return self._reformatter.reformat(
            frame,
            # An odd row or column is cropped, not squeezed.
            width=frame.width if fits else width,
            height=frame.height if fits else height,
            format=layout,
            src_colorspace=None if rgb else _scaler_matrix(self._color.matrix),
            dst_colorspace=_scaler_matrix(self._color.matrix),
            interpolation=_SCALER,
            src_color_range=FULL if rgb else span,
            dst_color_range=span,
            threads=1,
        )

    def _interleaved(self, frame: VideoFrame, width: int, height: int) -> Planes:
        """Of a picture as a GPU's decoder leaves it: both chroma planes in one."""
        luma, chroma = frame.planes[:2]
        both = torch.frombuffer(chroma, dtype=torch.uint8)
        size, steps = (height // 2, width // 2), (chroma.line_size, 2)
        return (
            self._plane(luma, width, height),
            self._turned(both.as_strided(size, steps)),
            self._turned(both.as_strided(size, steps, 1)),
        )

    def _plane(self, plane: VideoPlane, width: int, height: int) -> Tensor:
        return self._turned(samples(plane, height, width))

    def _turned(self, seen: Tensor) -> Tensor:
        if self._orientation.transpose:
            seen = seen.T
        axes = [1] * self._orientation.flip_x + [0] * self._orientation.flip_y
        # The decoder's own memory holds reference pictures: never hand it out.
        return (
            torch.flip(seen, axes).contiguous()
            if axes
            else seen.clone(memory_format=torch.contiguous_format)
        )


def whole_planes(width: int, height: int) -> tuple[Samples, Samples, Samples]:
    """Room for luma and both chroma planes, one behind the other in a new piece of memory."""
    whole: Samples = np.empty(width * height * 3 // 2, np.uint8)
    luma = whole[: width * height].reshape(height, width)
    first, second = whole[width * height :].reshape(2, height // 2, width // 2)
    return luma, first, second


def tensors_of(planes: tuple[Samples, Samples, Samples]) -> Planes:
    """The same memory."""
    y, u, v = planes
    return torch.from_numpy(y), torch.from_numpy(u), torch.from_numpy(v)


def _scaler_matrix(matrix: int) -> int:
    """libswscale's number (SWS_CS_*) of an H.273 matrix; BT.601 where it has none."""
    return matrix if matrix in (1, 4, 5, 7, 9) else 5
