"""What is found out about a film only by looking through it: once, for all who read it."""

from __future__ import annotations

from pipeline.errors import InputUnreadable
from pipeline.once import Once
from pipeline.reading.combing import is_combed, unsaid_order
from pipeline.reading.container import only, open_media
from pipeline.reading.deinterlace import holds_single_fields
from pipeline.reading.grid import PictureTable, every_second
from pipeline.reading.hidden_alpha import is_hidden
from pipeline.reading.limits import TRUSTED
from pipeline.reading.scan import scan_pictures, video_stream
from pipeline.types import VideoFacts
from schemas.codes import Stage

_UNWOVEN = "png"
"""The codec whose "interlaced" is the order in which the samples of one moment are stored."""


class Film:
    """A probed film. Each of these looks when it is first called, and may raise InputUnreadable."""

    def __init__(self, video: VideoFacts) -> None:
        path = video.path
        self.pictures = pictures = Once(lambda: _scan(video))
        """Its pictures, by its packets."""
        self.combed = Once(lambda: video.codec != _UNWOVEN and is_combed(path, pictures()))
        """Whether pictures that are called interlaced really are."""
        self.unsaid_order = Once(lambda: unsaid_order(path, pictures()))
        """Which field came first in pictures that are not called interlaced and are; or None."""
        self.hidden = Once(lambda: is_hidden(path, pictures()))
        """Whether nothing can be seen of it, so that its transparency is not meant."""


def _scan(video: VideoFacts) -> PictureTable:
    with open_media(video.path, TRUSTED, Stage.DECODE) as container:
        stream = video_stream(container)
        if stream is not None:
            only(container, stream)
            table = scan_pictures(container, stream, TRUSTED, None)
            if table is not None:
                split = holds_single_fields(video, stream.codec_context.height)
                return every_second(table) if split else table
    raise InputUnreadable(f"{video.path.name} holds no picture any more", stage=Stage.DECODE)
