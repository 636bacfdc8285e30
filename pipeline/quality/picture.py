"""Sharpness and flicker of the mouth, from pixels."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own abbreviation
from torch import Tensor

from pipeline.quality.mouths import Mouths
from pipeline.quality.watch import Watched
from pipeline.types import Frame

_MARGIN = 0.25
_SIDE = 64
"""Pixels of the mouths that are compared with their neighbours."""


@dataclass(frozen=True, slots=True)
class Picture:
    """Figures of the mouth's pixels; None where no frame could be measured."""

    sharpness: float | None
    """Mean |Laplacian| of the luma in the mouth box, on the scale 0 to 255."""
    flicker_mean: float | None
    """Mean absolute difference of the mouth between neighbouring frames, 0 to 255."""
    flicker_p95: float | None
    """Its 95th percentile over frames."""


def measure_picture(watched: Watched) -> Picture:
    """Read every frame once more and look at the mouth."""
    mouths = watched.mouths
    sharp: list[float] = []
    change: list[float] = []
    before: Tensor | None = None
    for frame in watched.reader.read(range(watched.video.frames)):
        crop = mouth_luma(frame, mouths, frame.index)
        if crop is None:
            before = None
            continue
        sharp.append(laplacian(crop))
        small = F.interpolate(crop[None, None], (_SIDE, _SIDE), mode="area")[0, 0]
        if before is not None:
            change.append(float((small - before).abs().mean()))
        before = small
    return Picture(
        sharpness=sum(sharp) / len(sharp) if sharp else None,
        flicker_mean=sum(change) / len(change) if change else None,
        flicker_p95=float(torch.tensor(change).quantile(0.95)) if change else None,
    )


def laplacian(luma: Tensor) -> float:
    """Mean |Laplacian| of a picture (H, W) of at least 3 x 3."""
    centre = luma[1:-1, 1:-1]
    around = luma[:-2, 1:-1] + luma[2:, 1:-1] + luma[1:-1, :-2] + luma[1:-1, 2:]
    return float((4 * centre - around).abs().mean())


def mouth_luma(frame: Frame, mouths: Mouths, index: int) -> Tensor | None:
    """(h, w) float luma of the box around the lips and a quarter of it; None without a face."""
    if index >= len(mouths.usable) or not bool(mouths.usable[index]):
        return None
    x0, y0, x1, y1 = mouths.box[index].tolist()
    dx, dy = _MARGIN * (x1 - x0), _MARGIN * (y1 - y0)
    left, top = max(0, int(x0 - dx)), max(0, int(y0 - dy))
    crop = frame.y[top : int(y1 + dy) + 1, left : int(x1 + dx) + 1].float()
    return crop if min(crop.shape) >= 3 else None
