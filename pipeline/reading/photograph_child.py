"""Reading a photograph, in the process of `pipeline.reading.trial`: as 8-bit RGB, upright, in sRGB.

libheif (`pi-heif`) reads HEIC, and Pillow the rest. What they are given may make them take
gigabytes, stand still or end the process, which is why it is this one.
"""

from __future__ import annotations

import struct
import warnings
import zlib
from contextlib import suppress
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import numpy as np
from av import VideoFrame
from numpy.typing import NDArray
from pi_heif import open_heif
from PIL import ExifTags, Image, ImageCms, ImageFile, UnidentifiedImageError
from PIL.Image import DecompressionBombError

from pipeline.reading.container import known_kind, open_options
from pipeline.reading.icc_profile import is_foreign
from pipeline.reading.tone_map import ToneMap, is_other
from pipeline.types import Color, Limits

_DAMAGED = (
    *(OSError, EOFError, ValueError, LookupError, RuntimeError, SyntaxError, TypeError),
    *(ArithmeticError, AttributeError, struct.error, zlib.error, DecompressionBombError),
)
"""What the libraries raise over bytes that they do not like."""
_LIES = 5
"""Orientation of EXIF from which on width and height change places."""
_TURN = Image.Transpose
_UPRIGHT = {
    2: _TURN.FLIP_LEFT_RIGHT,
    3: _TURN.ROTATE_180,
    4: _TURN.FLIP_TOP_BOTTOM,
    5: _TURN.TRANSPOSE,
    6: _TURN.ROTATE_270,
    7: _TURN.TRANSVERSE,
    8: _TURN.ROTATE_90,
}
"""What undoes each orientation of EXIF (CIPA DC-008, tag 0x0112)."""

_LAYOUTS = {3: ("rgb24", "rgb48le"), 4: ("rgba", "rgba64le")}
"""Of 8 and 16 bits, by samples per pixel."""
_STRIP = 2**20
"""Pixels whose colours are changed at a time."""

Pixels = NDArray[np.uint8]
Answer = tuple[dict[str, Any], Pixels | None]


def read(path: str, kind: str, most: int) -> Answer:
    """A photograph.

    Args:
        kind: Pillow's name of it; HEIF is libheif's.
        most: pixels that are decoded; of a larger one only the size is told.

    Returns:
        `size`, width and height as it is shown, or `damaged`, why it cannot be read; and the
        picture, (H, W, 3) or, with transparency, (H, W, 4).
    """
    Image.MAX_IMAGE_PIXELS = None  # `most` is checked instead
    ImageFile.LOAD_TRUNCATED_IMAGES = True  # as libavcodec shows what is there
    try:
        with warnings.catch_warnings(action="ignore"):
            return _heic(path, most) if kind == "HEIF" else _by_pillow(path, kind, most)
    except UnidentifiedImageError:  # its words name the folder, which is nobody's business
        return {"damaged": f"it is no {kind}, or its header is damaged"}, None
    except _DAMAGED as error:
        return {"damaged": str(error) or type(error).__name__}, None


def _heic(path: str, most: int) -> Answer:
    heif = open_heif(path)
    told: dict[str, Any] = {"size": [int(side) for side in heif.size]}
    if heif.size[0] * heif.size[1] > most:
        return told, None
    words = heif.info.get("nclx_profile", {})
    coded = words.get("color_primaries", 2), words.get("transfer_characteristics", 2)
    if is_other(*coded):
        deep = open_heif(path, convert_hdr_to_8bit=False)
        return told, _shown(_in_colour(np.array(deep)), *coded)
    pixels = _of_8_bits(_in_colour(np.array(heif)))  # a copy: what libheif has goes with it
    profile = heif.info.get("icc_profile")
    if profile and is_foreign(profile):
        return told, np.asarray(_in_srgb(Image.fromarray(pixels), profile))
    return told, pixels


def _by_pillow(path: str, kind: str, most: int) -> Answer:
    with Image.open(path, formats=(kind,)) as image:
        way = _orientation(image)
        width, height = image.size[::-1] if way >= _LIES else image.size
        told = {"size": [int(width), int(height)]}
        if width * height > most:
            return told, None
        profile = image.info.get("icc_profile")
        if profile and is_foreign(profile):
            shown = _in_srgb(image, profile)
        else:
            shown = image.convert("RGBA" if image.has_transparency_data else "RGB")
        pixels = np.asarray(shown.transpose(_UPRIGHT[way]) if way in _UPRIGHT else shown)
        coded = _words(path) if kind == "AVIF" and not profile else (2, 2)
        return told, _shown(pixels, *coded) if is_other(*coded) else pixels


def _words(path: str) -> tuple[int, int]:
    """Primaries and transfer (ITU-T H.273) of an AVIF, which Pillow does not tell."""
    options = open_options(Limits())
    with (
        suppress(av.FFmpegError, OSError, ValueError, LookupError, RuntimeError),
        av.open(f"file:{path}", mode="r", format=known_kind(Path(path)), **options) as film,
    ):
        codec = film.streams.video[0].codec_context
        return int(codec.color_primaries), int(codec.color_trc)
    return 2, 2


def _orientation(image: Image.Image) -> int:
    """Of EXIF, 1 to 8; 1, which is upright, where that is damaged."""
    with suppress(*_DAMAGED):
        way = image.getexif().get(ExifTags.Base.Orientation, 1)
        if way in _UPRIGHT:
            return int(way)
    return 1


def _in_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """The picture in sRGB; as it is where its profile is damaged, or is not one of its kind."""
    alpha = image.convert("RGBA").getchannel("A") if image.has_transparency_data else None
    inks = image if image.mode == "CMYK" else image.convert("RGB")
    made = inks.convert("RGB")
    with suppress(ImageCms.PyCMSError, OSError, ValueError):
        known = ImageCms.ImageCmsProfile(BytesIO(profile))
        changed = ImageCms.profileToProfile(
            inks,
            known,
            ImageCms.createProfile("sRGB"),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
        )
        made = changed or made
    if alpha is not None:
        made.putalpha(alpha)
    return made


def _shown(pixels: NDArray[Any], primaries: int, transfer: int) -> Pixels:
    """A picture of high dynamic range or wide colours as an ordinary screen shows it.

    Args:
        pixels: (H, W, 3) or (H, W, 4) of 8 or 16 bits.
        primaries: ITU-T H.273.
        transfer: of the same.
    """
    tone = ToneMap(Color(matrix=0, full_range=True, primaries=primaries, transfer=transfer))
    height, width, count = pixels.shape
    layout, deep = _LAYOUTS[count]
    given = deep if pixels.dtype == np.uint16 else layout
    shown = np.empty(pixels.shape, np.uint8)
    rows = max(1, _STRIP // width)
    for top in range(0, height, rows):  # a whole one would take gigabytes
        strip = VideoFrame.from_ndarray(np.ascontiguousarray(pixels[top : top + rows]), given)
        made = tone.shown(strip, width, strip.height, layout)
        shown[top : top + rows] = made.to_ndarray()
    return shown


def _of_8_bits(pixels: NDArray[Any]) -> Pixels:
    return (pixels >> 8).astype(np.uint8) if pixels.dtype == np.uint16 else pixels


def _in_colour(pixels: NDArray[Any]) -> NDArray[Any]:
    """(H, W, 3) or, with transparency, (H, W, 4).

    Args:
        pixels: as libheif gives them; (H, W) or (H, W, 2) of 8 or 16 bits where it is grey.
    """
    whole = pixels[..., None] if pixels.ndim == 2 else pixels
    if whole.shape[2] > 2:
        return whole
    return np.concatenate([whole[..., :1].repeat(3, 2), whole[..., 1:]], 2)
