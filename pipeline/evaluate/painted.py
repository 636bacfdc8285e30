"""Where an output differs from its reference: the face that was painted, if there are several."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own abbreviation
from torch import Tensor

from pipeline.evaluate.matching import thumbnail
from pipeline.quality.mouths import Mouths
from pipeline.quality.watch import Watched
from pipeline.timeline import Timeline
from pipeline.types import VideoFacts
from schemas.request import FaceBox

_PROBES = 12
_WIDE = 240
"""Pixels of the pictures that are compared."""
_SPREAD = 9
"""Pixels of these over which differences are averaged: a mouth, not a sample of noise."""
_CLEAR = 2.0
"""Grey levels of mean difference below which nothing was painted; an encoder leaves one or less."""
_EDGE, _EDGE_PX = 0.08, 32
"""Share of the height, and pixels at least, at its upper and lower end that are not looked at: a
visible label lies there (`pipeline.mark.visible`), and may differ more than a mouth."""


@dataclass(frozen=True, slots=True)
class Place:
    """A point of a picture, as shares of its width and height."""

    x: float
    y: float

    def is_on(self, mouths: Mouths, video: VideoFacts) -> bool:
        """Whether a face that was followed lies over it, in the median frame."""
        x0, y0, x1, y1 = mouths.face[mouths.usable].median(0).values.tolist()
        x, y = self.x * video.width, self.y * video.height
        return bool(x0 <= x <= x1 and y0 <= y <= y1)

    def choice(self, video: VideoFacts) -> FaceBox:
        """The face that is nearest to it: boxes count pixels of a file as it is stored."""
        x, y = self.x * video.width / video.scale, self.y * video.height / video.scale
        return FaceBox(box=(x - 1, y - 1, x + 1, y + 1))


def painted(output: Watched, reference: Watched, line: Timeline) -> Place | None:
    """The middle of what differs most, labels aside; None where nothing does.

    Args:
        line: which of its frames lies under which of the output's.
    """
    at = sorted(set(torch.linspace(0, line.frames - 1, _PROBES).long().tolist()))
    under = [line.source(n) for n in at]
    ours = output.reader.read(at)
    theirs = {
        frame.index: thumbnail(frame, _WIDE) for frame in reference.reader.read(sorted(set(under)))
    }
    apart = [
        (thumbnail(frame, _WIDE) - theirs[source]).abs()
        for frame, source in zip(ours, under, strict=True)
    ]
    differing = torch.stack(apart).mean(0)
    edge = ceil(max(_EDGE, _EDGE_PX / output.video.height) * len(differing))
    differing[:edge] = differing[-edge:] = 0
    return _middle(differing)


def _middle(apart: Tensor) -> Place | None:
    """Of the largest difference in (h, w) grey levels."""
    even = F.avg_pool2d(apart[None, None], _SPREAD, 1, _SPREAD // 2, count_include_pad=False)[0, 0]
    if float(even.max()) < _CLEAR:
        return None
    y, x = divmod(int(even.argmax()), even.shape[1])
    return Place((x + 0.5) / even.shape[1], (y + 0.5) / even.shape[0])
