"""Formats of libavutil's pictures: what they can hold, and their samples as tensors."""

from __future__ import annotations

import torch
from av import VideoFrame
from av.video.plane import VideoPlane
from torch import Tensor

BT709 = 1
LIMITED, FULL = 1, 2
"""libswscale's numbers of a matrix and of ranges."""


def is_rgb(frame: VideoFrame) -> bool:
    """RGB or palette: pictures that have no matrix yet."""
    return frame.format.is_rgb or frame.format.has_palette


def laid_out(frame: VideoFrame, layout: str) -> VideoFrame:
    """The picture in another of libavutil's layouts, whatever it says of its colours.

    libswscale refuses what it does not know, such as YCgCo. Levels are not to be taken for colours.
    """
    return frame.reformat(
        format=layout,
        src_colorspace=BT709,
        dst_colorspace=BT709,
        src_color_range=LIMITED,
        dst_color_range=LIMITED,
    )


def has_alpha(frame: VideoFrame) -> bool:
    """Whether parts of a picture may be transparent."""
    kind = frame.format
    return kind.has_palette or any(component.is_alpha for component in kind.components)


def samples(plane: VideoPlane, height: int, width: int) -> Tensor:
    """(height, width) uint8 in the plane's own memory, which must outlive it."""
    return torch.frombuffer(plane, dtype=torch.uint8).as_strided(
        (height, width), (plane.line_size, 1)
    )
