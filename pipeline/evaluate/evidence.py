"""Everything that the figures are computed of: two tracked videos, a speech, and what it asks."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from pathlib import Path

from torch import Tensor

from pipeline.avatars.reach import tracked_frames
from pipeline.evaluate.matching import match
from pipeline.evaluate.painted import Place, painted
from pipeline.quality.asked import asked_aperture, own_fit, range_of
from pipeline.quality.watch import LIMITS, Watched, listen_to, watch
from pipeline.reading.audio import Speech
from pipeline.reading.probe import probe_video
from pipeline.speech.mouth import MouthCurve, plan_mouth
from pipeline.speech.mouth_range import MouthRange
from pipeline.timeline import Timeline
from schemas.request import RenderOptions


@dataclass(frozen=True, slots=True)
class Sources:
    """The files."""

    output: Path
    reference: Path | None = None
    audio: Path | None = None
    truth: Path | None = None
    """The person of the reference really saying the audio; else the reference, where it does."""
    transcript: str | None = None
    syncnet: Path | None = None
    """A checkpoint of SyncNet v2."""
    learnt_s: float = 0.0
    """Seconds of the output whose words were learnt from: self re-enactment leaves them out."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was seen and heard."""

    sources: Sources
    output: Watched
    reference: Watched | None
    timeline: Timeline | None
    """Which reference frame stands under which output frame; None where that cannot be told."""
    mismatch: str
    """Why it cannot."""
    speech: Speech | None
    curve: MouthCurve | None
    asked: Tensor | None
    """(F,) aperture that the speech asks for, io."""
    range: MouthRange
    """Of the reference's mouth, else of the output's."""

    @property
    def fps(self) -> float:
        """Of the output."""
        return float(self.output.video.fps)


def gather(sources: Sources, device: str, threads: int) -> Evidence:
    """Open, follow and hear everything.

    Raises:
        InputError: a file is no video or no sound, or shows no face.
        WeightsMissing: the face models are not on this machine.
    """
    output, reference = _watched(sources, device, threads)
    timeline, mismatch = match(output, reference)
    if reference is not None and timeline is not None and max(output.faces, reference.faces) > 1:
        place = painted(output, reference, timeline)
        if place is not None and not all(
            place.is_on(each.mouths, each.video) for each in (output, reference)
        ):
            output, reference = _watched(sources, device, threads, place)
    speech = listen_to(sources.output, sources.audio, sources.transcript)
    curve = asked = None
    if speech is not None:
        fit = own_fit(sources.reference, reference)
        curve = fit.apply(speech) if fit is not None else plan_mouth(speech)
        asked = asked_aperture(curve, output, reference)
    return Evidence(
        sources=sources,
        output=output,
        reference=reference,
        timeline=timeline,
        mismatch=mismatch,
        speech=speech,
        curve=curve,
        asked=asked,
        range=range_of(reference or output),
    )


def _watched(
    sources: Sources, device: str, threads: int, place: Place | None = None
) -> tuple[Watched, Watched | None]:
    """The output and its reference, each with its largest face, or the one at a place."""
    shown = probe_video(sources.output, LIMITS, RenderOptions())
    reference = template = None
    if sources.reference is not None:
        facts = probe_video(sources.reference, LIMITS, RenderOptions())
        used = min(facts.frames, ceil(shown.duration * facts.fps))
        reference = watch(
            sources.reference,
            device,
            threads,
            most=tracked_frames(used, facts.fps, facts.frames),
            max_height=min(max(shown.height, 64), 4320),
            choice="largest" if place is None else place.choice(facts),
        )
        template = reference.mouths.template
    output = watch(
        sources.output,
        device,
        threads,
        template=template,
        choice="largest" if place is None else place.choice(shown),
    )
    return output, reference
