"""How a reference's colours are to be read, by its own words or by what is usual."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from av import VideoFrame
from av.video.codeccontext import VideoCodecContext

from pipeline.errors import InputUnreadable
from pipeline.reading.hdr import HLG, PQ
from pipeline.reading.orientation import side_data
from pipeline.reading.pixel_format import is_rgb
from pipeline.reading.tone_map import shown_as
from pipeline.types import Color
from schemas.codes import Stage

_BT709, _BT601, _BT2020 = 1, 6, 9
_BT2020_CURVE = 14
_UNNAMED = 2
_UNKNOWN = (0, _UNNAMED, 3)
"""H.273: RGB or reserved, unspecified, reserved."""
_YCGCO = (8, 16, 17)
"""YCgCo and both of YCgCo-R: read by any other matrix, faces are green."""
_JFIF = ("mjpeg", "webp")
"""Codecs whose pictures have the matrix of BT.601 whatever their size."""
_SRGB_TRANSFER = 13
_FULL_RANGE = 2
_DOLBY = ("dvh1", "dvhe", "dva1", "dvav", "dav1")
"""Kinds of films in MP4 that Dolby Vision's players alone may show; phones' have other names, or
name the colours of HLG beside it."""


class Words(NamedTuple):
    """How a container says that the colours are to be read, by ITU-T H.273.

    For films that do not say so themselves.
    """

    matrix: int
    primaries: int
    transfer: int
    span: int
    kind: str
    """The container's own name of the codec, of four letters; empty where it has none."""

    @classmethod
    def of(cls, codec: VideoCodecContext) -> Words:
        """Of a stream of which nothing was decoded yet."""
        return cls(
            int(codec.colorspace),
            int(codec.color_primaries),
            int(codec.color_trc),
            int(codec.color_range),
            codec.codec_tag.strip("\0"),
        )

    def put(self, path: Path, frame: VideoFrame) -> None:
        """Name what the film's first picture leaves unnamed.

        Raises:
            InputUnreadable: its colours are nobody's but Dolby Vision's.
        """
        if int(frame.colorspace) == _UNNAMED:
            frame.colorspace = self.matrix
        if int(frame.color_primaries) == _UNNAMED:
            frame.color_primaries = self.primaries
        if int(frame.color_trc) == _UNNAMED:
            frame.color_trc = self.transfer
        if not int(frame.color_range):
            frame.color_range = self.span
        nameless = int(frame.color_trc) == int(frame.colorspace) == _UNNAMED
        if nameless and (self.kind in _DOLBY or _is_dolby(frame)):
            raise InputUnreadable(
                f"{path.name}: its colours are Dolby Vision's own (profile 5"
                f"{self.kind and f', {self.kind}'}), which its players alone can show; save it as "
                "SDR, HLG or HDR10",
                stage=Stage.PROBE,
                codec=self.kind,
            )


def _is_dolby(frame: VideoFrame) -> bool:
    """Whether a picture brings Dolby Vision's words for colours of the whole range."""
    return int(frame.color_range) == _FULL_RANGE and "DOVI_RPU_BUFFER" in side_data(frame)


def delivered(path: Path, frame: VideoFrame, codec: str, lines: int) -> tuple[Color, Color | None]:
    """The colours that are delivered, and those of the file where they are others.

    Args:
        frame: its first picture.
        lines: of a whole picture, which is more than a field, and more than what is shown.

    Raises:
        InputUnreadable: they are others, and coded in a way that is not known.
    """
    told = _color(frame, codec, lines)
    if told.matrix in _YCGCO:
        raise InputUnreadable(
            f"{path.name}: its colours are coded as YCgCo (matrix {told.matrix} of ITU-T H.273), "
            "which is not read; save it as BT.709",
            stage=Stage.PROBE,
            matrix=told.matrix,
        )
    shown = shown_as(path, told)
    return (told, None) if shown is None else (shown, told)


def _color(frame: VideoFrame, codec: str, lines: int) -> Color:
    """The source's colour tags; where it has none, the usual ones.

    Those of its size (BT.709 from 720 lines); of high dynamic range BT.2020; of RGB and JPEG those
    of sRGB, whose primaries are BT.709's whatever the size.
    """
    usual = _BT709 if lines >= 720 and codec not in _JFIF else _BT601
    matrix = int(frame.colorspace)
    primaries = int(frame.color_primaries)
    transfer = int(frame.color_trc)
    curve = usual
    if primaries == _BT2020 or (primaries in _UNKNOWN and transfer in (HLG, PQ)):
        usual, curve, primaries = _BT2020, _BT2020_CURVE, _BT2020
    rgb = is_rgb(frame)
    srgb = rgb or codec in _JFIF
    full = int(frame.color_range) == _FULL_RANGE or frame.format.name.startswith("yuvj")
    if frame.format.name.startswith("gray") and int(frame.color_range) == 0:
        full = True
    return Color(
        matrix=usual if matrix in _UNKNOWN else matrix,
        full_range=full and not rgb,
        primaries=(_BT709 if srgb else usual) if primaries in _UNKNOWN else primaries,
        transfer=(_SRGB_TRANSFER if srgb else curve) if transfer in _UNKNOWN else transfer,
    )
