"""The mouth that a speech asks for, planned anew from files, as the default engine plans it."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from pipeline.quality.watch import Watched, listen_under
from pipeline.speech.fit import PersonFit, fit_person
from pipeline.speech.mouth import MouthCurve
from pipeline.speech.mouth_range import MouthRange
from pipeline.speech.targets import LEAD, sample

LEAD_S = float(LEAD)
"""Seconds that the lips are ahead of the sound."""


def own_fit(reference: Path | None, source: Watched | None) -> PersonFit | None:
    """The fit of the reference's person, as the default engine makes it."""
    if reference is None or source is None or not source.video.has_audio or source.video.still:
        return None
    speech = listen_under(reference)
    if speech is None:
        return None
    m = source.mouths
    return fit_person(speech, m.aperture, m.width, m.chin, m.usable, source.video.fps)


def range_of(watched: Watched) -> MouthRange:
    """The range of the mouth that is seen in a file."""
    mouths = watched.mouths
    return MouthRange.from_track(mouths.aperture, mouths.width, mouths.usable)


def asked_aperture(curve: MouthCurve, output: Watched, source: Watched | None) -> Tensor:
    """(F,) aperture per output frame, io, in the range of the reference, or else of the output."""
    targets = sample(curve, output.video.fps, output.video.frames)
    return range_of(source or output).path(targets).aperture
