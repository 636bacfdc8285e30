"""How this very person moves the mouth, learnt from the reference's own speech track.

Cues of the speech (`pipeline.speech.cues`) are mapped to the measured mouth by ridge regression.
Its penalties, and how far it may replace the table, are chosen by cross-validation in time, and it
is kept only as far as one half of what was seen speaks as the other, or as people do; a sound that
does not belong to the mouth (music, a dubbed or shifted track) is recognised by comparing
with the same mouth at wrong times. Closures stay hard.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pipeline.speech.cues import cues, rows, scales
from pipeline.speech.grid import STEP_RATE, at_times
from pipeline.speech.mouth import Hearing, MouthCurve, listen, plan_heard, settle
from pipeline.speech.mouth_range import MouthRange
from pipeline.speech.ridge import HALVES, Ridge, agreement, choose, correlation, solve
from pipeline.speech.targets import LEAD

if TYPE_CHECKING:
    from pipeline.reading.audio import Speech

LEAST_S = 2.5
"""Seconds of usable frames below which nothing is learnt."""
_OFFSETS = range(-24, 25, 2)
"""Steps by which the reference's sound may be off its picture."""
_OFFSET_GAIN, _OFFSET_R = 0.06, 0.40
_OWN_TIMING_S = 0.10
"""Up to which a difference is left to the map, which learns it with the pull of the neighbouring
phones: one's own timing, or a recording's that nobody notices. More is the recording's fault."""
_SHIFTS, _SHIFT_S = 60, 1.5
_CHANCE = 0.95
"""Share of wrong times that the right one must beat."""
_LEAST_R = 0.15
_HALF_TRUST_S = 2.0
_HOLDS_R = (0.15, 0.35)
"""Agreement below which what was seen says nothing about how this mouth speaks, and from which it
does: by the table, or by what one half of it teaches about the other. Neighbouring fifths share a
smile or a laugh, which then passes for speech."""
_TOLERANCE = torch.tensor([0.30, 0.0, 0.0], dtype=torch.float64)
_FULL_GAIN = torch.tensor([0.30, 0.15, 0.15], dtype=torch.float64)
"""How much worse than the table the fit may look and still have a share, and over how much it gains
full trust. Cross-validation learns from four fifths of little data and is too hard on the opening:
fits that looked .20 worse were better than the table on unseen halves of a talk."""
_MOST_STRETCH = 1.8
_BLOCK = 1000


@dataclass(frozen=True, slots=True)
class PersonFit:
    """One person's own mapping from speech to mouth."""

    ridge: Ridge
    """Cues to openness, width and jaw."""
    blend: Tensor
    """(3,) share of the fit in openness, width and jaw; the rest is the table's."""
    stretch: Tensor
    """(3,) by which the fit's swing is enlarged: regression alone mumbles."""
    r_fit: float
    """Cross-validated correlation of the openness by the fit."""
    r_table: float
    """The same by the table alone."""
    offset_s: float
    """How much later than the picture the reference's sound is, seconds."""
    seconds: float
    """Usable speech that was learnt from."""

    def apply(self, speech: Speech) -> MouthCurve:
        """This person's mouth for any speech."""
        return self.apply_heard(listen(speech))

    def apply_heard(self, heard: Hearing) -> MouthCurve:
        """This person's mouth for a speech that was already heard."""
        table = plan_heard(heard)
        cue = cues(heard, table)
        total = cue.shape[1]
        own = torch.empty(3, total)
        for start in range(0, total, _BLOCK):
            stop = min(start + _BLOCK, total)
            times = torch.arange(start, stop, dtype=torch.float64) / STEP_RATE
            predicted = self.ridge(rows(heard, cue, times)) - self.ridge.offset
            own[:, start:stop] = (predicted * self.stretch + self.ridge.offset).T.float()
        share = self.blend.float()[:, None]
        by_table = torch.stack([table.openness, table.width, table.jaw])
        openness, width, jaw = by_table + share * (own - by_table)
        return replace(
            table,
            openness=settle(openness.clamp(0, 1), table.cap),
            width=width.clamp(-1, 1),
            jaw=jaw.clamp(0, 1),
        )


def fit_person(
    reference_speech: Speech,
    aperture: Tensor,
    width: Tensor,
    jaw: Tensor,
    usable: Tensor,
    fps: Fraction,
) -> PersonFit | None:
    """Learn a person's mouth from the reference.

    Args:
        reference_speech: the reference's own sound.
        aperture: (N,) of each reference frame, io.
        width: (N,) of the mouth, io.
        jaw: (N,) height of the chin, growing downwards, any unit.
        usable: (N,) bool, frames with a good face.

    Returns:
        The fit, or None where there is too little to learn from, the sound does not belong to the
        mouth, or the table alone predicts it as well.
    """
    good = usable.bool() & torch.isfinite(aperture) & torch.isfinite(width) & torch.isfinite(jaw)
    mouth = MouthRange.from_track(aperture, width, good)
    if not mouth.talks:
        return None
    middles = (torch.arange(len(aperture), dtype=torch.float64) + 0.5) / float(fps)
    kept = good & (middles < float(reference_speech.duration))
    times = middles[kept]
    if len(times) / float(fps) < LEAST_S:
        return None
    heard = listen(reference_speech)
    table = plan_heard(heard)
    y = shares(aperture[kept], width[kept], jaw[kept], mouth)
    offset = _offset(table.capped, times, y[:, 0])
    read = times + offset
    return _fit(
        rows(heard, cues(heard, table), read), y, _at(table, read), times, offset, float(fps)
    )


def shares(aperture: Tensor, width: Tensor, jaw: Tensor, mouth: MouthRange) -> Tensor:
    """A measured mouth in shares of its range: openness, width, jaw; (N, 3) float64."""
    wider, narrower = mouth.wide - mouth.middle, mouth.middle - mouth.narrow
    away = width.double() - mouth.middle
    spread = torch.where(away > 0, away / max(wider, 1e-3), away / max(narrower, 1e-3))
    chin = jaw.double()
    low, high = torch.quantile(chin, torch.tensor([0.05, 0.97], dtype=chin.dtype)).tolist()
    drop = (chin - low) / max(high - low, 1e-6)
    return torch.stack(
        [
            (aperture.double() / mouth.top).clamp(0, 1.3),
            spread.clamp(-1.3, 1.3),
            drop.clamp(-0.2, 1.3),
        ],
        1,
    )


def _at(table: MouthCurve, times: Tensor) -> Tensor:
    """The table's openness, width and jaw at instants, (N, 3)."""
    return at_times(torch.stack([table.capped, table.width, table.jaw]), times).T.double()


def _offset(curve: Tensor, times: Tensor, openness: Tensor) -> float:
    """Seconds that the curve must be read later than the picture so that both agree best."""
    found = [
        float(correlation(at_times(curve, times + step / STEP_RATE).double(), openness))
        for step in _OFFSETS
    ]
    usual = float(LEAD)
    best = max(range(len(found)), key=found.__getitem__)
    here = float(correlation(at_times(curve, times + usual).double(), openness))
    read = _OFFSETS[best] / STEP_RATE
    near = abs(read - usual) < _OWN_TIMING_S
    if near or found[best] < _OFFSET_R or found[best] - here < _OFFSET_GAIN:
        return usual
    return read


def _fit(
    x: Tensor, y: Tensor, table: Tensor, times: Tensor, offset: float, fps: float
) -> PersonFit | None:
    scale = scales(x)
    x = x / scale
    chosen = choose(x, y, times)
    guess = chosen.guess
    r_fit, r_table = agreement(guess, y), agreement(table, y)
    best = float(r_fit[0].maximum(r_table[0]))
    if best < _LEAST_R or not _belongs(x, y[:, :1], times, float(r_fit[0]), fps):
        return None
    seconds = len(times) / fps
    trust = seconds / (seconds + _HALF_TRUST_S)
    trust *= _holds(x, y[:, :1], times, float(r_table[0]))
    blend = ((r_fit - r_table + _TOLERANCE) / _FULL_GAIN).clamp(0, 1) * trust
    if float(blend.max()) == 0.0:
        return None
    stretch = (y.std(0) / guess.std(0).clamp(min=1e-6)).clamp(1, _MOST_STRETCH)
    return PersonFit(
        ridge=solve(x, y, chosen.penalties).of_unscaled(scale),
        blend=blend,
        stretch=stretch,
        r_fit=float(r_fit[0]),
        r_table=float(r_table[0]),
        offset_s=offset - float(LEAD),
        seconds=seconds,
    )


def _holds(x: Tensor, openness: Tensor, times: Tensor, r_table: float) -> float:
    """How far one half of what was seen speaks as the other does, or as people do; 0 to 1."""
    guess = choose(x, openness, times, HALVES).guess
    found = max(float(agreement(guess, openness, HALVES)), r_table)
    none, full = _HOLDS_R
    return min(max((found - none) / (full - none), 0.0), 1.0)


def _belongs(x: Tensor, openness: Tensor, times: Tensor, score: float, fps: float) -> bool:
    """The mouth is predicted better than the same mouth at wrong times."""
    count, least = len(openness), round(_SHIFT_S * fps)
    shifts = sorted(set(torch.linspace(least, count - least, _SHIFTS).round().long().tolist()))
    wrong = torch.cat([openness.roll(shift, 0) for shift in shifts], 1)
    chance = agreement(choose(x, wrong, times).guess, wrong)
    return score > float(torch.quantile(chance, _CHANCE))
