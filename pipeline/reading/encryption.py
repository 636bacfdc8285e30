"""Whether a film or sound in MP4 is encrypted: without the key it decodes to nothing, or to noise.

libavformat gives such a track the name of the codec that lies below.
Sample entries: ISO/IEC 14496-12 8.12 (encv, enca); iTunes (drms, drmi); Audible (aavd).
"""

from __future__ import annotations

import struct
from contextlib import suppress
from pathlib import Path

from pipeline.reading.spans import Span, boxes, every, first, named

_LOCKED = {
    "video": frozenset(map(named, (b"encv", b"drmi"))),
    "audio": frozenset(map(named, (b"enca", b"drms", b"aavd"))),
}
"""What sample entries of encrypted tracks are called."""


def is_encrypted(path: Path, kind: str) -> bool:
    """Whether a file has an encrypted track of a kind.

    Args:
        path: of a readable file.
        kind: `video` or `audio`.
    """
    locked = _LOCKED.get(kind, frozenset())
    with path.open("rb") as file:
        whole = Span(0, 0, file.seek(0, 2))
        with suppress(struct.error, StopIteration):
            moov = first(file, whole, boxes, named(b"moov"))
            for track in every(file, moov, boxes, named(b"trak")):
                span = track
                for name in (b"mdia", b"minf", b"stbl", b"stsd"):
                    span = first(file, span, boxes, named(name))
                entries = span._replace(begin=span.begin + 8)
                if any(entry.kind in locked for entry in boxes(file, entries)):
                    return True
    return False
