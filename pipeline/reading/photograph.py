"""Photographs of phones and cameras that libavformat reads wrongly, or slowly.

HEIC, AVIF, WebP, and JPEG and PNG with colours of their own. libavformat gives the tiles that
phones cut HEIC into as streams, and leaves how they lie to its caller; it knows no colour profile;
and libwebp takes a tenth of its time for lossless pictures. `pipeline.reading.trial`'s process
reads them.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
from av import VideoFrame

from pipeline.errors import InputUnreadable
from pipeline.reading.grid import PictureTable
from pipeline.reading.icc_profile import has_foreign_profile
from pipeline.reading.picture_size import is_animated_webp
from pipeline.reading.trial import read_on_trial
from pipeline.types import Limits
from schemas.codes import Stage

_HEIC = (b"heic", b"heix", b"heim", b"heis", b"mif1", b"mif2")
_AVIF = b"avif"
_LAYOUTS = {3: "rgb24", 4: "rgba"}
"""By samples per pixel."""
_KINDS = {"hevc": "HEIF", "av1": "AVIF", "webp": "WEBP", "mjpeg": "JPEG", "png": "PNG"}
"""Of each codec, as Pillow calls them."""
ALONE = PictureTable(np.zeros(1, np.int64), 1, Fraction(1), (), timed=False)
"""The table of one picture."""


def codec_of(path: Path) -> str | None:
    """The codec of a file that is such a photograph, and no film; else None."""
    with path.open("rb") as file:
        head = file.read(64)
    if head[4:8] == b"ftyp" and head[8:12] in (*_HEIC, _AVIF):
        return "av1" if _AVIF in head[8:] else "hevc"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return None if is_animated_webp(path) else "webp"
    if has_foreign_profile(path):
        return "png" if head[0] == 0x89 else "mjpeg"
    return None


class Photograph:
    """A photograph (`codec_of`) in the place of a `pipeline.reading.cursor.Cursor`."""

    def __init__(self, path: Path, limits: Limits, stage: Stage) -> None:
        self._path = path
        self._limits = limits
        self._stage = stage
        self._kind = _KINDS[codec_of(path) or "hevc"]
        self._whole: VideoFrame | None = None

    def size(self) -> tuple[int, int]:
        """Width and height as it is shown, px, by the header alone.

        Raises:
            InputUnreadable: it is damaged.
            MediaLimitExceeded: reading it takes too long, or too much memory.
        """
        told, _ = read_on_trial(self._path, self._kind, 0, self._limits, self._stage)
        return told

    @property
    def position(self) -> int:
        """Always the only picture."""
        return 0

    def key_before(self, _number: int) -> int:
        """The only picture."""
        return 0

    def go(self, _number: int) -> VideoFrame:
        """The picture, upright, as RGB or RGBA of 8 bits.

        Raises:
            InputUnreadable: it is damaged.
            MediaLimitExceeded: reading it takes too long, or too much memory.
        """
        if self._whole is None:
            limits = self._limits
            _, pixels = read_on_trial(
                self._path, self._kind, limits.max_pixels, limits, self._stage
            )
            if pixels is None:
                raise InputUnreadable(f"{self._path.name} has grown", stage=self._stage)
            whole = VideoFrame.from_ndarray(pixels, _LAYOUTS[pixels.shape[2]])
            whole.pts, whole.time_base = 0, Fraction(1)
            self._whole = whole
        return self._whole
