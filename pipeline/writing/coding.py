"""How the pictures of an output are coded, whoever encodes them."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from av.codec.context import Flags
from av.video.codeccontext import VideoCodecContext

from pipeline.types import Color

_GOP_S = 2
_LIMITED, _FULL = 1, 2


@dataclass(frozen=True, slots=True)
class Coding:
    """Size, clock, colours and quality of 8-bit 4:2:0 pictures."""

    width: int
    """Pixels of luma, even."""
    height: int
    """Pixels of luma, even."""
    fps: Fraction
    """Frames per second, exactly; the time base is one frame."""
    color: Color
    """Tags of stream and container; planes are taken as they are."""
    crf: int
    """x264's constant rate factor, 0 to 51."""

    def configure(self, codec: VideoCodecContext) -> None:
        """Set all but the quality, and a key picture every two seconds, before `codec` opens."""
        codec.width, codec.height = self.width, self.height
        codec.pix_fmt = "yuv420p"
        codec.time_base = 1 / self.fps
        codec.framerate = self.fps
        codec.gop_size = max(1, round(_GOP_S * self.fps))
        codec.colorspace = self.color.matrix
        codec.color_range = _FULL if self.color.full_range else _LIMITED
        codec.color_primaries = self.color.primaries
        codec.color_trc = self.color.transfer
        codec.flags |= Flags.bitexact.value
