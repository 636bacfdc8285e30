"""Whether a film's transparency is meant.

Recorders of screens and old editors write pictures of four bytes a pixel, and leave the fourth 0
throughout: by its word nothing of such a film can be seen. A film that fades in from nothing has
pictures of which nothing can be seen, too, but others as well.
"""

from __future__ import annotations

from pathlib import Path

from av import VideoFrame

from pipeline.reading.cursor import open_cursor
from pipeline.reading.grid import PictureTable
from pipeline.reading.pixel_format import laid_out
from pipeline.reading.plane_samples import samples

_LOOKS = 16
"""Pictures that are looked at, evenly spread."""


def is_hidden(path: Path, table: PictureTable) -> bool:
    """Whether nothing at all can be seen of a film, so that its transparency cannot be meant.

    Raises:
        InputUnreadable: it cannot be opened any more.
    """
    last = len(table.pts) - 1
    with open_cursor(path, table) as cursor:
        if cursor is None:
            return False
        for number in sorted({last * n // (_LOOKS - 1) for n in range(_LOOKS)}):
            frame = cursor.go(number)
            if frame is not None and _is_seen(frame):
                return False
    return True


def _is_seen(frame: VideoFrame) -> bool:
    alpha = laid_out(frame, "yuva420p").planes[3]
    return bool(samples(alpha, frame.height, frame.width).any())
