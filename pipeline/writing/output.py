"""The file that a job makes, opened for its pictures: the same for every kind of engine."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from pipeline.timeline import Timeline
from pipeline.types import AudioFacts, RenderSpec, VideoFacts
from pipeline.writing import losses, nvenc
from pipeline.writing.coding import Coding
from pipeline.writing.encode import Encoder

Made = TypeVar("Made")
_log = logging.getLogger(__name__)


def falling_back_to_x264(
    spec: RenderSpec, film: Callable[[str | None], Made], notes: list[str]
) -> Made:
    """Make a film; once more, and by x264, where the device's encoder fails in its midst.

    Args:
        film: makes the whole of it, encoded by the device that it is given; None: by x264.
        notes: gets what the report is to say.

    Raises:
        EngineUnavailable: a GPU's encoder is demanded, and there is none.
    """
    if nvenc.chosen(spec.device):
        try:
            return film(spec.device)
        except losses.Lost as lost:
            text = f"encoded by x264 from the start, as the GPU's encoder failed midway: {lost}"
        _log.warning("%s: %s", spec.output.name, text)
        notes.append(text)
    return film(None)


def open_output(
    spec: RenderSpec,
    metadata: dict[str, str],
    video: VideoFacts,
    audio: AudioFacts,
    timeline: Timeline,
    device: str | None = None,
) -> Encoder:
    """An encoder of the job's output.

    Args:
        metadata: of the container: `mark.applying.words`, where the output is labelled.
        device: that encodes; None: x264 does.

    Raises:
        OSError: as `Encoder`.
    """
    return Encoder(
        spec.output,
        Coding(video.width, video.height, timeline.fps, video.color, spec.options.crf),
        audio=audio,
        frames=timeline.frames,
        metadata=metadata,
        device=device,
    )
