"""Formats of libavutil's pictures: what they can hold, and how one becomes another.

Torch is not needed here, nor is there room for it where photographs are read.
"""

from __future__ import annotations

from av import VideoFrame

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
