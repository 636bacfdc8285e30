"""From a speech to what a mouth does, as curves at 100 Hz in shares of a person's range."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from pipeline.speech.activity import activity, drowned, lift, loudness, rest
from pipeline.speech.align import align
from pipeline.speech.closures import Closure, caps, find
from pipeline.speech.dips import dips
from pipeline.speech.grid import STEP_RATE, gaussian
from pipeline.speech.held import hold
from pipeline.speech.mel import hear
from pipeline.speech.perception import perceive
from pipeline.speech.phones import SILENCE, PhoneSpan, agree, labels
from pipeline.speech.visemes import visemes

if TYPE_CHECKING:
    from pipeline.reading.audio import Speech

_OPENNESS_SIGMA_S = 0.045
_WIDTH_SIGMA_S = 0.063
_JAW_SIGMA_S = 0.060
_SETTLE_SIGMA_S, _SETTLES = 0.026, 3
"""Together as wide as .045 s: of the talking clips' unseen halves the mean correlation grows to
here and hardly further, and the lips' acceleration falls by a fourth; .055 leaves a pause open that
a person's mouth shuts in."""
_QUIET_SHARE = 0.80
"""Opening of the quietest speech, as a share of the table's."""
_BAND_SIGMA_S = 0.035
_BAND_WEIGHTS = (-0.30, -0.15, 0.25, -0.15, 0.35, 0.25, 0.05, -0.20)
_SAME_WORDS = 0.28
"""Share of the time at which alignment and recognition name the same phone. Seen: .72 clean, .35
in an old recording; .24 where the text is but the beginning of what is said."""
_BAND_GAIN, _BAND_CLIP = 0.20, 2.2
_TOLD = 0.7
"""How much somebody speaks where the level drowns and the phone network, which hears no phone in
noises, hears some."""


@dataclass(frozen=True, slots=True)
class MouthCurve:
    """What a mouth does during a speech. Curves are (T,) float32 at 100 Hz."""

    openness: Tensor
    """0 to 1, before closures."""
    width: Tensor
    """-1 rounded to 1 spread."""
    jaw: Tensor
    """0 raised to 1 lowest."""
    activity: Tensor
    """0 silent to 1 speaking."""
    rest: Tensor
    """1 where a pause of more than 200 ms has brought the mouth back to its resting shape."""
    cap: Tensor
    """The highest opening that closures allow; 1 where there is none."""
    phones: list[PhoneSpan]
    closures: list[Closure]

    @property
    def capped(self) -> Tensor:
        """Opening with closures, (T,)."""
        return torch.minimum(self.openness, self.cap)

    @property
    def duration(self) -> float:
        """Seconds that the curves cover."""
        return self.openness.numel() / STEP_RATE


@dataclass(frozen=True, slots=True)
class Hearing:
    """What was heard, once, for the table and for a person's own fit."""

    mel: Tensor
    """(40, T) natural logarithm of the power."""
    level: Tensor
    """(T,) dB below full scale, a quiet recording raised to the usual."""
    active: Tensor
    """(T,) 0 to 1."""
    phones: list[PhoneSpan]
    hidden: Tensor
    """(288, S) float16, 50 a second (`pipeline.speech.recogniser.Recognition`)."""


def listen(speech: Speech) -> Hearing:
    """Hear a speech: mel, loudness and phones.

    Args:
        speech: 16 kHz mono. Its transcript, if it has one, helps English, and is dropped where it
            does not fit.
    """
    text = speech.transcript
    ahead = speech.recognition
    heard = ahead.result() if ahead is not None else perceive(speech.samples)
    spans = heard.recognition.phones
    samples = speech.samples if heard.quiet is None else heard.quiet
    mel, level = hear(samples)
    level = level + max(0.0, lift(level))
    speaks = activity(level)
    spans = hold(spans, samples, mel, level, speaks)
    told = speaks.clamp(min=_TOLD * drowned(level))
    active = told * _spoken(spans, level.numel())
    aligned = align(speech.samples, level, text) if text else None
    if aligned is not None and agree(aligned, spans, level.numel()) > _SAME_WORDS:
        spans = aligned
    return Hearing(mel, level, active, spans, heard.recognition.hidden)


def _spoken(spans: list[PhoneSpan], total: int) -> Tensor:
    """0 where no phone was heard for long, though it may be loud: music, or a noise; else 1."""
    silent = torch.tensor([span.name == SILENCE for span in spans])
    return gaussian(1 - silent[torch.from_numpy(labels(spans, total))].float(), 0.03)


def plan_mouth(speech: Speech) -> MouthCurve:
    """The mouth of a speech by phones and loudness.

    Args:
        speech: 16 kHz mono, of any length and content.

    Returns:
        Curves of T = N // 160 + 1 steps. All finite, whatever the sound.
    """
    return plan_heard(listen(speech))


def plan_heard(heard: Hearing) -> MouthCurve:
    """The mouth of a speech that was already heard."""
    total = heard.level.numel()
    opening, width, jaw = table_curves(heard.phones, total)
    active = gaussian(heard.active, 0.02).clamp(0, 1)
    loud = _QUIET_SHARE + (1 - _QUIET_SHARE) * gaussian(loudness(heard.level), 0.03)
    openness = gaussian(opening * loud * heard.active, _OPENNESS_SIGMA_S)
    openness = openness + _BAND_GAIN * timbre(heard.mel, heard.active) * active
    closures = find(heard.phones, dips(heard.mel, heard.level))
    cap = caps(closures, total)
    return MouthCurve(
        openness=settle(openness.clamp(0, 1), cap),
        width=gaussian(width * heard.active, _WIDTH_SIGMA_S).clamp(-1, 1),
        jaw=gaussian(jaw * loud * heard.active, _JAW_SIGMA_S).clamp(0, 1),
        activity=active,
        rest=rest(heard.active),
        cap=cap,
        phones=heard.phones,
        closures=closures,
    )


def settle(openness: Tensor, cap: Tensor) -> Tensor:
    """The opening as lips that have mass can follow it: they are on their way before a closure.

    Without it the opening bends sharply wherever it meets the cap, and the lips shake; in several
    passes the bend is gentler than in one as wide.

    Args:
        openness: (T,) 0 to 1.
        cap: (T,) of `pipeline.speech.closures.caps`; it still holds over what is returned.
    """
    for _ in range(_SETTLES):
        openness = gaussian(torch.minimum(openness, cap), _SETTLE_SIGMA_S)
    return openness


def table_curves(spans: list[PhoneSpan], total: int) -> tuple[Tensor, Tensor, Tensor]:
    """Steps of opening, width and jaw by the table, not yet smoothed; each (T,)."""
    index = labels(spans, total)
    starts = np.array([span.start for span in spans])
    ends = np.array([span.end for span in spans])
    share = (np.arange(total) / STEP_RATE - starts[index]) / (ends - starts).clip(1e-3)[index]
    shapes = [visemes(span.name) for span in spans]
    first = np.array([(v[0].openness, v[0].width, v[0].jaw) for v in shapes])
    last = np.array([(v[-1].openness, v[-1].width, v[-1].jaw) for v in shapes])
    late = (share > 0.5)[:, None]
    curves = torch.from_numpy(np.where(late, last[index], first[index]).T).float()
    return curves[0], curves[1], curves[2]


def timbre(mel: Tensor, active: Tensor) -> Tensor:
    """A standardised weighted sum of eight bands: open vowels have energy around 1 to 3 kHz.

    Args:
        mel: (40, T).
        active: (T,).

    Returns:
        (T,) within ± 2.2; 0 where there is no speech to compare with.
    """
    bands = gaussian(mel.reshape(8, 5, -1).mean(1), _BAND_SIGMA_S)
    spoken = active > 0.5
    if int(spoken.sum()) < STEP_RATE // 5:
        return torch.zeros_like(active)
    mean = bands[:, spoken].mean(1, keepdim=True)
    spread = bands[:, spoken].std(1, keepdim=True).clamp(min=0.1)
    z = torch.tensor(_BAND_WEIGHTS) @ ((bands - mean) / spread)
    z = (z - z[spoken].mean()) / z[spoken].std().clamp(min=0.05)
    return z.clamp(-_BAND_CLIP, _BAND_CLIP)
