"""A film opened for a few looks at its pictures, beside the reading of all of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.reading.container import only, open_media
from pipeline.reading.cursor import Cursor
from pipeline.reading.grid import PictureTable
from pipeline.reading.scan import video_stream
from pipeline.types import Limits
from schemas.codes import Stage


@contextmanager
def glance(path: Path, table: PictureTable, limits: Limits) -> Iterator[Cursor | None]:
    """A cursor over the pictures, decoded by one thread; None where no picture is left.

    Args:
        path: of the film.
        table: its pictures.
        limits: of opening it.

    Raises:
        InputUnreadable: it cannot be opened any more.
    """
    with open_media(path, limits, Stage.DECODE) as container:
        stream = video_stream(container)
        if stream is None:
            yield None
            return
        only(container, stream)
        yield Cursor(container, stream, table, 1, limits.max_pixels)
