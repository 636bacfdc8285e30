"""Videos whose mouth and pictures are known: moving clips with a puppet's track beside them."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from pipeline.evaluate.evidence import Evidence, Sources
from pipeline.quality.asked import range_of
from pipeline.quality.mouths import read_mouths
from pipeline.quality.watch import LIMITS, Watched
from pipeline.reading.decode import FrameReader
from pipeline.reading.probe import probe_video
from pipeline.timeline import Timeline
from schemas.request import RenderOptions
from tests.pipeline.quality.test_mouths import Puppet


def watched(path: Path, aperture: Tensor) -> Watched:
    """A clip whose mouth opens as told, io."""
    video = probe_video(path, LIMITS, RenderOptions())
    track = Puppet(aperture, torch.full_like(aperture, 0.5))
    return Watched(video, FrameReader(video, 1), read_mouths(track))


def evidence(
    output: Watched, reference: Watched | None = None, timeline: Timeline | None = None
) -> Evidence:
    """Evidence without a speech."""
    return Evidence(
        sources=Sources(output.video.path),
        output=output,
        reference=reference,
        timeline=timeline,
        mismatch="needs --reference",
        speech=None,
        curve=None,
        asked=None,
        range=range_of(reference or output),
    )
