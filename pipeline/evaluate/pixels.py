"""Pixels of an output, beside the reference's where one is known: one pass over both."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own abbreviation
from torch import Tensor

from pipeline.evaluate.evidence import Evidence
from pipeline.evaluate.ledger import Figures
from pipeline.quality.mouths import Mouths
from pipeline.quality.picture import laplacian, mouth_luma
from pipeline.quality.watch import Watched
from pipeline.types import Frame

MARGIN_IO = 0.45
"""Around the lower face, io: what may be re-made. A render may use all of it."""
PATCH = 96
"""Pixels of the aligned lower face."""
_ACROSS_IO = 1.3
_HEAT_WIDE = 240
"""Columns of the difference picture."""
_OUTSIDE = ("outside_psnr_db", "outside_worst_db")
_RATIOS = ("flicker_ratio", "flicker_p95_ratio", "sharpness_ratio")


@dataclass(slots=True)
class Face:
    """Running figures of one video's lower face."""

    centre: complex
    """Middle of the lips, aligned, io."""
    sharp: list[float] = field(default_factory=list)
    change: list[float] = field(default_factory=list)
    _before: tuple[int, Tensor] | None = None

    def look(self, frame: Frame, mouths: Mouths, place: int) -> None:
        """Take one frame of the video; neighbours in `place` are compared."""
        if frame.index >= len(mouths.usable) or not bool(mouths.usable[frame.index]):
            self._before = None
            return
        crop = mouth_luma(frame, mouths, frame.index)
        if crop is not None:
            self.sharp.append(laplacian(crop))
        patch = aligned(frame, mouths, self.centre)
        if self._before is not None and self._before[0] + 1 == place:
            self.change.append(float((patch - self._before[1]).abs().mean()))
        self._before = (place, patch)

    @property
    def sharpness(self) -> float | None:
        """Mean |Laplacian|."""
        return sum(self.sharp) / len(self.sharp) if self.sharp else None

    @property
    def flicker(self) -> float | None:
        """Mean change of the aligned patch."""
        return sum(self.change) / len(self.change) if self.change else None

    @property
    def flicker_p95(self) -> float | None:
        """Its 95th percentile."""
        return float(torch.tensor(self.change).quantile(0.95)) if self.change else None


@dataclass(slots=True)
class Outside:
    """Running error outside the lower face."""

    squares: float = 0.0
    count: int = 0
    worst: float = 0.0
    """Largest mean square of a frame."""
    heat: Tensor | None = None
    """(h, w) sum of |difference|, small."""
    frames: int = 0

    def look(self, ours: Frame, theirs: Frame, box: tuple[int, int, int, int] | None) -> None:
        """Take one pair of frames; `box` (x0, y0, x1, y1) is left out."""
        apart = (ours.y.to(torch.int16) - theirs.y.to(torch.int16)).abs_().float()
        small = F.interpolate(apart[None, None], _heat_size(ours), mode="area")[0, 0]
        self.heat = small if self.heat is None else self.heat + small
        self.frames += 1
        count = apart.numel()
        if box is not None:
            x0, y0, x1, y1 = box
            apart[y0:y1, x0:x1] = 0
            count -= (x1 - x0) * (y1 - y0)
        squares = float(apart.square_().sum())
        if count <= 0:
            return
        self.squares += squares
        self.count += count
        self.worst = max(self.worst, squares / count)

    @property
    def psnr(self) -> float | None:
        """All frames pooled."""
        return psnr(self.squares / self.count) if self.count else None


def psnr(square: float) -> float:
    """dB of a mean square error on the scale 0 to 255; at most 99, which stands for identical."""
    return min(99.0, 10 * math.log10(255**2 / square)) if square > 0 else 99.0


def measure_pixels(evidence: Evidence, figures: Figures) -> Outside | None:
    """Write down sharpness and flicker, and the error outside the lower face, if it is known."""
    ours = Face(_centre(evidence.output.mouths))
    theirs = Face(ours.centre)
    outside = Outside()
    reference = evidence.reference if evidence.timeline is not None else None
    for frame, under in _pairs(evidence, reference):
        ours.look(frame, evidence.output.mouths, frame.index)
        if under is None or reference is None:
            continue
        theirs.look(under, reference.mouths, frame.index)
        outside.look(frame, under, kept_out(reference.mouths, under))
    nowhere = "no two neighbouring frames show the face"
    figures.put("sharpness", ours.sharpness, nowhere)
    figures.put("flicker_mean", ours.flicker, nowhere)
    if reference is None:
        figures.leave_out(evidence.mismatch, *_RATIOS, *_OUTSIDE)
        return None
    still = "the reference does not move"
    figures.ratio("sharpness_ratio", ours.sharpness, theirs.sharpness, nowhere)
    figures.ratio("flicker_ratio", ours.flicker, theirs.flicker, still)
    figures.ratio("flicker_p95_ratio", ours.flicker_p95, theirs.flicker_p95, still)
    if reference.video.still:
        figures.leave_out("the reference is a still picture, which is made to live", *_OUTSIDE)
    else:
        figures.put("outside_psnr_db", outside.psnr, "nothing lies outside the lower face")
        figures.put("outside_worst_db", psnr(outside.worst))
    return outside


def _pairs(evidence: Evidence, reference: Watched | None) -> Iterator[tuple[Frame, Frame | None]]:
    total = evidence.output.video.frames
    ours = evidence.output.reader.read(range(total))
    line = evidence.timeline
    if reference is None or line is None:
        yield from ((frame, None) for frame in ours)
        return
    yield from zip(ours, reference.reader.read(map(line.source, range(total))), strict=True)


def _centre(mouths: Mouths) -> complex:
    """Middle of the lips over the clip in aligned coordinates, a little lower: with the chin."""
    lips = mouths.lips[mouths.usable].mean((0, 1)).tolist()
    return complex(lips[0], lips[1] + 0.15)


def aligned(frame: Frame, mouths: Mouths, centre: complex) -> Tensor:
    """(96, 96) float luma of the lower face, the head's motion removed."""
    side = torch.linspace(-_ACROSS_IO / 2, _ACROSS_IO / 2, PATCH)
    there = (side[None] + centre.real) + 1j * (side[:, None] + centre.imag)
    place = there / mouths.turn[frame.index] + mouths.middle[frame.index]
    x0, y0 = max(0, int(place.real.min()) - 1), max(0, int(place.imag.min()) - 1)
    crop = frame.y[y0 : int(place.imag.max()) + 2, x0 : int(place.real.max()) + 2].float()
    high, wide = crop.shape
    if high < 2 or wide < 2:
        return torch.zeros(PATCH, PATCH)
    grid = torch.stack(
        [(place.real - x0) * 2 / (wide - 1) - 1, (place.imag - y0) * 2 / (high - 1) - 1], -1
    )
    return F.grid_sample(crop[None, None], grid[None], padding_mode="border", align_corners=True)[
        0, 0
    ]


def kept_out(mouths: Mouths, frame: Frame) -> tuple[int, int, int, int] | None:
    """The box x0 y0 x1 y1 that a render may change, pixels; None where no face is usable."""
    index = frame.index
    if index >= len(mouths.usable) or not bool(mouths.usable[index]):
        return None
    margin = MARGIN_IO * float(mouths.io[index])
    x0, y0, x1, y1 = mouths.lower[index].tolist()
    return (
        max(0, int(x0 - margin)),
        max(0, int(y0 - margin)),
        min(frame.width, int(x1 + margin) + 1),
        min(frame.height, int(y1 + margin) + 1),
    )


def _heat_size(frame: Frame) -> tuple[int, int]:
    return max(1, round(frame.height * _HEAT_WIDE / frame.width)), _HEAT_WIDE
