"""Photographs of phones, HEIC and AVIF: libheif (`pi-heif`) and libavif (of Pillow) read them.

libavformat opens them, too, but it gives the tiles that phones cut them into as streams, and leaves
how they lie to its caller.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from av import VideoFrame
from numpy.typing import NDArray
from pi_heif import HeifFile, open_heif
from PIL import Image, ImageOps
from PIL.Image import DecompressionBombError

from pipeline.errors import InputUnreadable
from pipeline.grid import PictureTable
from schemas.codes import Stage

_HEIC = (b"heic", b"heix", b"heim", b"heis", b"mif1", b"mif2")
_AVIF = b"avif"
_LAYOUTS = {3: "rgb24", 4: "rgba"}
"""By samples per pixel."""
_DAMAGED = (
    *(OSError, EOFError, ValueError, LookupError, RuntimeError, SyntaxError),
    DecompressionBombError,
)
"""What the libraries raise over bytes that they do not like."""
ALONE = PictureTable(np.zeros(1, np.int64), 1, Fraction(1), (), timed=False)
"""The table of one picture."""


def codec_of(path: Path) -> str | None:
    """`hevc` or `av1` where a file says that it is such a photograph, and no film; else None."""
    with path.open("rb") as file:
        head = file.read(64)
    if head[4:8] != b"ftyp" or head[8:12] not in (*_HEIC, _AVIF):
        return None
    return "av1" if _AVIF in head[8:] else "hevc"


class Photograph:
    """Stands where a `pipeline.cursor.Cursor` would.

    Args:
        path: of which `codec_of` knows the codec.
        stage: that errors name.
    """

    def __init__(self, path: Path, stage: Stage) -> None:
        self._path = path
        self._stage = stage
        self._whole: VideoFrame | None = None

    def size(self) -> tuple[int, int]:
        """Width and height as it is shown, px, by the header alone.

        Raises:
            InputUnreadable: it is damaged.
        """
        with self._opened() as image:
            width, height = image.size
            return int(width), int(height)

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
        """
        if self._whole is None:
            with self._opened() as image:
                pixels = _in_colour(np.asarray(image))
                whole = VideoFrame.from_ndarray(pixels, _LAYOUTS[pixels.shape[2]])
            whole.pts, whole.time_base = 0, Fraction(1)
            self._whole = whole
        return self._whole

    @contextmanager
    def _opened(self) -> Iterator[HeifFile | Image.Image]:
        try:
            with warnings.catch_warnings(category=Image.DecompressionBombWarning, action="ignore"):
                if codec_of(self._path) == "hevc":
                    yield open_heif(self._path)
                else:
                    with Image.open(self._path, formats=("AVIF",)) as image:
                        yield ImageOps.exif_transpose(image)
        except _DAMAGED as error:
            text = f"{self._path.name} cannot be read as a photograph: {error}"
            raise InputUnreadable(text, stage=self._stage) from error


def _in_colour(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """(H, W, 3) or, with transparency, (H, W, 4) of 8 bits.

    Args:
        pixels: as the libraries give them; (H, W) or (H, W, 2) of 8 or 16 bits where it is grey.
    """
    if pixels.dtype == np.uint16:
        pixels = (pixels >> 8).astype(np.uint8)
    whole = pixels[..., None] if pixels.ndim == 2 else pixels
    if whole.shape[2] > 2:
        return whole
    return np.concatenate([whole[..., :1].repeat(3, 2), whole[..., 1:]], 2)
