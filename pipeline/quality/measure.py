"""The figures of one output, from files alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pipeline.quality.asked import LEAD_S, asked_aperture, own_fit
from pipeline.quality.mouths import acceleration
from pipeline.quality.picture import measure_picture
from pipeline.quality.sync import Shut, agreement, closures, open_vowels
from pipeline.quality.watch import Watched, listen_to, watch
from pipeline.reading.audio import Speech
from pipeline.speech.mouth import MouthCurve, plan_mouth
from pipeline.speech.phones import PhoneSpan

SMALL_IO = 40.0
"""Pixels between the outer eye corners (a face of about 80) below which a lip cannot be read."""


@dataclass(frozen=True, slots=True)
class Quality:
    """What was measured, and the curves behind it."""

    figures: dict[str, Any]
    """JSON types only; None where a figure could not be measured."""
    watched: Watched
    speech: Speech | None
    curve: MouthCurve | None
    """The mouth that the speech asks for; None without sound."""
    requested: Tensor | None
    """(F,) aperture per frame that the speech asks for, io; None without sound."""
    shuts: list[Shut]
    vowels: list[tuple[PhoneSpan, int]]
    """Open vowels and the frame at which the mouth is widest in each."""


def measure(
    output: Path,
    *,
    audio: Path | None = None,
    reference: Path | None = None,
    transcript: str | None = None,
    device: str = "cpu",
    threads: int = 2,
) -> Quality:
    """Measure a finished MP4.

    Args:
        output: the file.
        audio: the speech that it was made from; else its own sound track.
        reference: the video that it was made from, for ratios, and for the person's own way of
            speaking where it has one.
        transcript: what is said, if known.

    Raises:
        InputError: the file is no video, or shows no face.
        WeightsMissing: the face models are not on this machine.
    """
    watched = watch(output, device, threads)
    source = watch(reference, device, threads) if reference is not None else None
    speech = listen_to(output, audio, transcript)
    figures = _picture(watched)
    if source is not None:
        figures["reference"] = _ratios(figures, _picture(source))
    if speech is None:
        return Quality(figures, watched, None, None, None, [], [])
    own = own_fit(reference, source)
    curve = own.apply(speech) if own is not None else plan_mouth(speech)
    requested = asked_aperture(curve, watched, source)
    fps, lead = float(watched.video.fps), LEAD_S
    shuts = closures(curve.phones, watched.mouths.aperture, fps, lead)
    vowels = open_vowels(curve.phones, watched.mouths.aperture, fps, lead)
    figures |= _speech(watched, speech, requested, shuts, [frame for _, frame in vowels])
    return Quality(figures, watched, speech, curve, requested, shuts, vowels)


def _picture(watched: Watched) -> dict[str, Any]:
    video, mouths = watched.video, watched.mouths
    seen = mouths.aperture[mouths.usable]
    spread = torch.tensor([0.05, 0.5, 0.9, 0.99])
    low, median, high, top = torch.quantile(
        seen[:: max(1, len(seen) // 1_000_000)], spread
    ).tolist()
    picture = measure_picture(watched)
    return {
        "frames": video.frames,
        "fps": f"{video.fps.numerator}/{video.fps.denominator}",
        "video_s": round(float(video.duration), 4),
        "face_frames": int(mouths.usable.sum()),
        "io_px": round(float(mouths.io[mouths.usable].median()), 1),
        "aperture_io": {
            "p5": round(low, 4),
            "p50": round(median, 4),
            "p90": round(high, 4),
            "p99": round(top, 4),
        },
        "lip_acceleration": _rounded(acceleration(mouths.lips, mouths.usable), 5),
        "skull_acceleration": _rounded(acceleration(mouths.skull, mouths.usable), 5),
        "sharpness": _rounded(picture.sharpness, 3),
        "flicker_mean": _rounded(picture.flicker_mean, 3),
        "flicker_p95": _rounded(picture.flicker_p95, 3),
    }


def _speech(
    watched: Watched, speech: Speech, requested: Tensor, shuts: list[Shut], widest: list[int]
) -> dict[str, Any]:
    video, aperture = watched.video, watched.mouths.aperture
    found = agreement(requested, aperture, float(video.fps))
    readable = float(watched.mouths.io[watched.mouths.usable].median()) >= SMALL_IO
    closed = sum(shut.closed for shut in shuts)
    late = abs(video.duration - speech.duration) * video.fps
    return {
        "aperture_r": _rounded(found.r if found else None, 3),
        "aperture_best_r": _rounded(found.best_r if found else None, 3),
        "aperture_lag_ms": round(found.lag_s * 1000) if found else None,
        "closures": len(shuts),
        "closures_closed": closed,
        "closure_rate": round(closed / len(shuts), 3) if shuts and readable else None,
        "open_vowels_io": _rounded(float(aperture[widest].median()) if widest else None, 4),
        "sound_s": round(float(speech.duration), 4),
        "length_error_frames": round(float(late), 3),
    }


def _ratios(output: dict[str, Any], reference: dict[str, Any]) -> dict[str, Any]:
    """Output over reference."""
    names = ("lip_acceleration", "skull_acceleration", "sharpness", "flicker_mean", "flicker_p95")
    ratios: dict[str, Any] = {}
    for name in names:
        ours, theirs = output[name], reference[name]
        ratios[name] = round(ours / theirs, 3) if ours is not None and theirs else None
    return ratios


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
