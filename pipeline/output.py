"""The file that a job makes, opened for its pictures: the same for every kind of engine."""

from __future__ import annotations

from pipeline.encode import Encoder
from pipeline.mark.applying import words
from pipeline.timeline import Timeline
from pipeline.types import AudioFacts, RenderSpec, VideoFacts
from schemas.render import EngineFacts


def open_output(
    spec: RenderSpec, facts: EngineFacts, video: VideoFacts, audio: AudioFacts, timeline: Timeline
) -> Encoder:
    """An encoder of the job's output, with the words that its labels ask for.

    Args:
        facts: of the engine, for the labels.
        video: whose size and colours the pictures have.
        audio: the speech.
        timeline: whose frames are written.

    Raises:
        EngineUnavailable, OSError: as `Encoder`.
    """
    return Encoder(
        spec.output,
        width=video.width,
        height=video.height,
        fps=timeline.fps,
        color=video.color,
        crf=spec.options.crf,
        audio=audio,
        frames=timeline.frames,
        metadata=words(spec, facts),
        device=spec.device,
    )
