"""Do the lips do what the sound asks: opening, closing, rest."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.evaluate.evidence import Evidence
from pipeline.evaluate.independent import INDEPENDENT, SHUT_SHARE, measure_independent
from pipeline.evaluate.ledger import Figures
from pipeline.quality.asked import LEAD_S
from pipeline.quality.measure import SMALL_IO
from pipeline.quality.sync import Shut, agreement, closures, open_vowels
from pipeline.reading.audio import Speech
from pipeline.runs import true_runs
from pipeline.speech.activity import SILENCE_S, activity, loudness
from pipeline.speech.grid import STEP_RATE, at_times, gaussian
from pipeline.speech.mel import hear
from pipeline.speech.mouth_range import MouthRange
from pipeline.speech.phones import PhoneSpan

REST_SLACK_IO = 0.02
"""By which a resting mouth may differ from the reference's."""
_ENVELOPE_SIGMA_S = 0.045
_ASKED = ("aperture_r", "aperture_best_r", "aperture_lag_ms", "aperture_lag_frames")
_ENERGY = ("energy_r", "energy_lag_ms")
_CLOSURES = ("closures", "closure_rate", "closure_rate_tight")
_PAUSES = ("silences", "silence_rest_rate", "silence_worst_io")


@dataclass(frozen=True, slots=True)
class Spoken:
    """What of the speech was looked at."""

    shuts: list[Shut]
    vowels: list[tuple[PhoneSpan, int]]
    pauses: list[tuple[float, float]]
    """Begin and end, seconds."""


def measure_lips(evidence: Evidence, figures: Figures) -> Spoken:
    """Write down everything that needs the speech and the output's mouth alone."""
    if evidence.speech is None or evidence.asked is None or evidence.curve is None:
        reason = "the output has no sound and no --audio is given"
        figures.leave_out(reason, *_ASKED, *_ENERGY, *_CLOSURES, "open_vowels_io", *_PAUSES)
        figures.leave_out(reason, *INDEPENDENT)
        return Spoken([], [], [])
    _asked(evidence, evidence.asked, figures)
    _energy(evidence, evidence.speech, figures)
    measure_independent(evidence, evidence.speech, figures)
    shuts = _closures(evidence, evidence.curve.phones, figures)
    vowels = open_vowels(
        evidence.curve.phones, evidence.output.mouths.aperture, evidence.fps, LEAD_S
    )
    widest = [float(evidence.output.mouths.aperture[frame]) for _, frame in vowels]
    median = float(torch.tensor(widest).median()) if widest else None
    figures.put("open_vowels_io", median, "no open vowel was heard where the mouth is seen")
    pauses = silences(evidence.speech)
    _pauses(evidence, pauses, figures)
    return Spoken(shuts, vowels, pauses)


def _asked(evidence: Evidence, asked: Tensor, figures: Figures) -> None:
    found = agreement(asked, evidence.output.mouths.aperture, evidence.fps)
    if found is None:
        figures.leave_out("the mouth or what is asked of it does not move", *_ASKED)
        return
    figures.put("aperture_r", found.r)
    figures.put("aperture_best_r", found.best_r)
    figures.put("aperture_lag_ms", 1000 * found.lag_s)
    figures.put("aperture_lag_frames", found.lag_s * evidence.fps)


def envelope(speech: Speech, fps: float, frames: int) -> Tensor:
    """(F,) loudness in the middle of each frame, 0 to 1, smoothed over 45 ms."""
    _, level = hear(speech.samples)
    curve = gaussian(loudness(level), _ENVELOPE_SIGMA_S)
    return at_times(curve, (torch.arange(frames, dtype=torch.float64) + 0.5) / fps)


def _energy(evidence: Evidence, speech: Speech, figures: Figures) -> None:
    loud = envelope(speech, evidence.fps, evidence.output.video.frames)
    found = agreement(loud, evidence.output.mouths.aperture, evidence.fps)
    if found is None:
        figures.leave_out("the mouth or the loudness does not move", *_ENERGY)
        return
    figures.put("energy_r", found.best_r)
    figures.put("energy_lag_ms", 1000 * found.lag_s)


def _closures(evidence: Evidence, phones: list[PhoneSpan], figures: Figures) -> list[Shut]:
    mouths = evidence.output.mouths
    shuts = closures(phones, mouths.aperture, evidence.fps, LEAD_S)
    figures.put("closures", len(shuts))
    small = float(mouths.io[mouths.usable].median()) < SMALL_IO
    if small or not shuts:
        reason = (
            f"the face is too small to read lips (under {SMALL_IO:.0f} px between the eyes)"
            if small
            else "no p, b or m was heard where the mouth is seen"
        )
        figures.leave_out(reason, "closure_rate", "closure_rate_tight")
        return shuts
    limit = SHUT_SHARE * evidence.range.top
    figures.put("closure_rate", sum(s.aperture < limit for s in shuts) / len(shuts))
    figures.put("closure_rate_tight", sum(s.closed for s in shuts) / len(shuts))
    return shuts


def silences(speech: Speech) -> list[tuple[float, float]]:
    """Pauses of more than 200 ms, by the level alone; begin and end in seconds."""
    _, level = hear(speech.samples)
    quiet = activity(level) < 0.2
    least = SILENCE_S * STEP_RATE
    end = float(speech.duration)
    return [
        (start / STEP_RATE, min(stop / STEP_RATE, end))
        for start, stop in true_runs(quiet)
        if stop - start > least
    ]


def _pauses(evidence: Evidence, pauses: list[tuple[float, float]], figures: Figures) -> None:
    over = [above for pause in pauses if (above := _above_rest(evidence, pause)) is not None]
    figures.put("silences", len(over))
    if not over:
        reason = "no pause of more than 200 ms was heard where the mouth is seen"
        figures.leave_out(reason, "silence_rest_rate", "silence_worst_io")
        return
    figures.put("silence_rest_rate", sum(above <= 0 for above in over) / len(over))
    figures.put("silence_worst_io", max(0.0, max(over)))


def rest_limit(mouth: MouthRange) -> float:
    """The opening up to which a silent mouth is closed or at rest, io."""
    return max(SHUT_SHARE * mouth.top, mouth.rest + REST_SLACK_IO)


def _above_rest(evidence: Evidence, pause: tuple[float, float]) -> float | None:
    """By how much the opening in the middle third of a pause is above the limit."""
    start, end = pause
    third = (end - start) / 3
    fps, seen = evidence.fps, evidence.output.mouths.aperture
    first = math.floor((start + third) * fps)
    last = min(max(first, math.ceil((end - third) * fps) - 1), len(seen) - 1)
    inside = seen[first : last + 1]
    inside = inside[torch.isfinite(inside)]
    if not len(inside):
        return None
    return float(inside.median()) - rest_limit(evidence.range)
