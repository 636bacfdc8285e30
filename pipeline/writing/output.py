"""The file that a job makes, opened for its pictures: the same for every kind of engine."""

from __future__ import annotations

from pipeline.timeline import Timeline
from pipeline.types import AudioFacts, RenderSpec, VideoFacts
from pipeline.writing.coding import Coding
from pipeline.writing.encode import Encoder


def open_output(
    spec: RenderSpec,
    metadata: dict[str, str],
    video: VideoFacts,
    audio: AudioFacts,
    timeline: Timeline,
) -> Encoder:
    """An encoder of the job's output.

    Args:
        metadata: of the container: `mark.applying.words`, where the output is labelled.
        video: whose size and colours the pictures have.
        audio: the speech.
        timeline: whose frames are written.

    Raises:
        EngineUnavailable, OSError: as `Encoder`.
    """
    return Encoder(
        spec.output,
        Coding(video.width, video.height, timeline.fps, video.color, spec.options.crf),
        audio=audio,
        frames=timeline.frames,
        metadata=metadata,
        device=spec.device,
    )
