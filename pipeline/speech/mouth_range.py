"""One person's range: how far this mouth opens and spreads when it speaks."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.speech.targets import MouthTargets

_TALKING_SPANS = (0.03, 0.045)
"""From the 3rd to the 90th percentile of the aperture, io: below the first nobody talks, from the
second on somebody does. Between them a range is mixed, as no measure is so exact that a mouth may
jump from one to the other by it."""
_TALKING_FRAMES = 40
_TOP = (0.10, 0.20)
_REST_SHARE = 0.25
_REST_MOST = 0.015
"""Aperture of a silent mouth of somebody who is seen speaking, who can close it; io."""
_SILENT_TOP = (0.16, 0.12)
"""Aperture at openness 1 of a face that is not seen speaking: of one that rests shut, and of one
that rests open; io. The first is a little less than the mean of seventeen people who are seen
speaking, 0.171, as what is shown is painted. The second shows its own teeth, which would be
stretched to twice their length."""
_RESTS_OPEN = (0.02, 0.05)
"""Resting apertures from which the first begins to give way, and to which it has; io."""
_SILENT_OPENING = 0.055
"""At least so far beyond its resting mouth, io."""
_SILENT_WIDTHS = (0.74, 1.06)
"""Widths of a mouth that is not seen speaking, rounded and spread, of its resting one. Speech
seldom stays at either end: so planned, the narrowest twentieth of frames is at .88 to .93 of the
median, where it is at .85 in the mean of 33 people who are seen speaking."""
_USUAL_WIDTH = 0.55
JAW_PER_APERTURE = 0.30
"""The chin sinks by this share of what the lips open."""


@dataclass(frozen=True, slots=True)
class MouthPath:
    """A mouth in the units of one face: distances in io. All are (F,)."""

    aperture: Tensor
    """Gap between the lips; exactly 0 in closures."""
    width: Tensor
    """Distance of the mouth's corners."""
    jaw: Tensor
    """How far the chin is below its resting place."""


@dataclass(frozen=True, slots=True)
class MouthRange:
    """Aperture and width in io (distance of the outer eye corners)."""

    top: float
    """Aperture at openness 1."""
    rest: float
    """Aperture of the silent mouth."""
    narrow: float
    """Mouth width when rounded."""
    middle: float
    wide: float
    talks: bool
    """The reference moves its lips as in speech."""

    @classmethod
    def from_track(cls, ap: Tensor, w: Tensor, usable: Tensor) -> MouthRange:
        """Measure a range by (N,) aperture and width, io, and where they are of a good face."""
        good = usable.bool() & torch.isfinite(ap) & torch.isfinite(w)
        if not bool(good.any()):
            return cls.silent(0.0, _USUAL_WIDTH)
        a, v = ap[good].double(), w[good].double()
        low, quiet, median, high, top = _quantiles(a, (0.03, 0.05, 0.50, 0.90, 0.97))
        silent = cls.silent(median, float(v.median()))
        least, most = _TALKING_SPANS
        share = min(max((high - low - least) / (most - least), 0.0), 1.0)
        if a.numel() < _TALKING_FRAMES or share == 0:
            return silent
        narrow, middle, wide = _quantiles(v, (0.05, 0.50, 0.95))
        top = min(max(top, _TOP[0]), _TOP[1])
        rest = min(quiet, _REST_SHARE * top, _REST_MOST)  # shut between the words
        return silent.towards(cls(top, rest, narrow, middle, wide, talks=share == 1), share)

    def towards(self, other: MouthRange, share: float) -> MouthRange:
        """A range between this one and another, which says whether it talks."""

        def mix(name: str) -> float:
            mine, theirs = float(getattr(self, name)), float(getattr(other, name))
            return (1 - share) * mine + share * theirs

        return MouthRange(
            top=mix("top"),
            rest=mix("rest"),
            narrow=mix("narrow"),
            middle=mix("middle"),
            wide=mix("wide"),
            talks=other.talks,
        )

    @classmethod
    def silent(cls, rest: float, width: float) -> MouthRange:
        """The range of a face that is not seen speaking, from its resting mouth."""
        narrow, wide = (width * share for share in _SILENT_WIDTHS)
        least, most = _RESTS_OPEN
        share = min(max((rest - least) / (most - least), 0.0), 1.0)
        shut, opened = _SILENT_TOP
        top = max(shut + share * (opened - shut), rest + _SILENT_OPENING)
        return cls(top, rest, narrow, width, wide, talks=False)

    def path(self, targets: MouthTargets) -> MouthPath:
        """Targets in the units of this face."""
        spoken = targets.openness * self.top
        aperture = spoken + (self.rest - spoken) * targets.rest
        aperture = torch.where(targets.closed, torch.zeros_like(aperture), aperture)
        spread = targets.width * (1 - targets.rest)
        wider, narrower = self.wide - self.middle, self.middle - self.narrow
        width = self.middle + torch.where(spread > 0, spread * wider, spread * narrower)
        drop = JAW_PER_APERTURE * self.top * targets.jaw * (1 - targets.rest)
        return MouthPath(aperture, width, drop)


def _quantiles(values: Tensor, at: tuple[float, ...]) -> list[float]:
    thin = values[:: max(1, values.numel() // 1_000_000)]
    found: list[float] = torch.quantile(thin, torch.tensor(at, dtype=thin.dtype)).tolist()
    return found
