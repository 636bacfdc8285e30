"""One picture of what a render changed: reference, output, and the mean difference."""

from __future__ import annotations

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from pipeline.evaluate.pixels import kept_out
from pipeline.evaluate.suite import Evaluation
from pipeline.planes import Window, read_rgb
from pipeline.quality.watch import Watched
from pipeline.types import Frame

HEIGHT, MOST_WIDE = 540, 640
WHITE_AT = 8.0
"""Grey levels of mean difference that are drawn white."""
_GAP = 8
_FRAME = (70, 200, 255)


def difference(evaluation: Evaluation) -> Image.Image | None:
    """Three pictures side by side; None where no reference matches."""
    evidence, outside = evaluation.evidence, evaluation.outside
    reference, line = evidence.reference, evidence.timeline
    if reference is None or line is None or outside is None or outside.heat is None:
        return None
    at = _widest(evidence.output)
    ours = next(iter(evidence.output.reader.read([at])))
    theirs = next(iter(reference.reader.read([line.source(at)])))
    scale = min(HEIGHT / ours.height, MOST_WIDE / ours.width)
    size = (max(1, round(ours.width * scale)), max(1, round(ours.height * scale)))
    heat = hot(outside.heat / max(1, outside.frames)).resize(size, Image.Resampling.BILINEAR)
    panels = [_rgb(theirs, reference, size), _rgb(ours, evidence.output, size), heat]
    box = kept_out(reference.mouths, theirs)
    if box is not None:
        corners = tuple(round(side * scale) for side in box)
        for panel in panels[1:]:
            ImageDraw.Draw(panel).rectangle(corners, outline=_FRAME)
    whole = Image.new("RGB", (3 * size[0] + 2 * _GAP, size[1]), "white")
    for n, panel in enumerate(panels):
        whole.paste(panel, (n * (size[0] + _GAP), 0))
    return whole


def _widest(output: Watched) -> int:
    """The frame at which the mouth is most open."""
    return int(torch.nan_to_num(output.mouths.aperture, nan=-1.0).argmax())


def _rgb(frame: Frame, watched: Watched, size: tuple[int, int]) -> Image.Image:
    rgb = read_rgb(frame, Window(0, 0, frame.width, frame.height), watched.video.color)
    image = Image.fromarray(rgb.permute(1, 2, 0).contiguous().numpy())
    return image.resize(size, Image.Resampling.LANCZOS)


def hot(mean: Tensor) -> Image.Image:
    """(h, w) grey levels as black, red, yellow, white."""
    level = (mean / WHITE_AT).clamp(0, 1)
    rgb = torch.stack([(3 * level - n).clamp(0, 1) for n in range(3)], -1)
    return Image.fromarray((255 * rgb).round().to(torch.uint8).numpy())
