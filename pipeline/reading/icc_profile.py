"""The colour profile of a picture file: whether its colours are others than those of sRGB.

Phones take photographs in Display P3 and cameras in Adobe RGB: read as sRGB, skin turns pale.
Profile: ICC.1:2022 7.2 and 9.2. In JPEG: annex B.4 (APP2). In PNG: ISO/IEC 15948 11.3.3.3 (iCCP).
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import BinaryIO

from pipeline.reading.picture_parts import jpeg_head, png_head

_MOST = 4 * 1024**2
"""Bytes of a profile that are read; those for printing have 3 MB at most."""
_APP2 = 0xE2
_SRGB = {
    b"rXYZ": (0.4361, 0.2225, 0.0139),
    b"gXYZ": (0.3851, 0.7169, 0.0971),
    b"bXYZ": (0.1431, 0.0606, 0.7141),
}
"""Of IEC 61966-2-1, adapted to D50."""
_ALIKE = 0.01


def has_foreign_profile(path: Path) -> bool:
    """Whether a JPEG or PNG has a profile whose colours are not those of sRGB.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return is_foreign(_in_jpeg(file) or _in_png(file))


def is_foreign(profile: bytes) -> bool:
    """Whether a profile's colours are others than those of sRGB; grey has none."""
    if len(profile) < 132 or profile[36:40] != b"acsp":
        return False
    if profile[16:20] != b"RGB ":
        return profile[16:20] == b"CMYK"
    found = _colorants(profile)
    return any(
        abs(a - b) > _ALIKE
        for name, right in _SRGB.items()
        for a, b in zip(found.get(name, (0.0, 0.0, 0.0)), right, strict=True)
    )


def _colorants(profile: bytes) -> dict[bytes, tuple[float, ...]]:
    (count,) = struct.unpack_from(">I", profile, 128)
    found = {}
    for place in range(132, min(132 + 12 * min(count, 100), len(profile) - 11), 12):
        name, offset, _ = struct.unpack_from(">4sII", profile, place)
        if name in _SRGB and offset + 20 <= len(profile):
            fixed = struct.unpack_from(">3i", profile, offset + 8)
            found[name] = tuple(number / 65536 for number in fixed)
    return found


def _in_jpeg(file: BinaryIO) -> bytes:
    """The profile, of which each segment holds up to 64 KB, in their order."""
    parts: dict[int, bytes] = {}
    for marker, length in jpeg_head(file):
        if marker == _APP2:
            body = file.read(length)
            if body.startswith(b"ICC_PROFILE\0") and len(body) > 14:
                parts[body[12]] = body[14:]
    return b"".join(parts[number] for number in sorted(parts))


def _in_png(file: BinaryIO) -> bytes:
    for kind, length in png_head(file):
        if kind == b"iCCP":
            packed = file.read(min(length, _MOST)).partition(b"\0")[2][1:]
            try:
                return zlib.decompressobj().decompress(packed, _MOST)
            except zlib.error:
                return b""
    return b""
