"""Engines that take whole files and give a whole file back: services with a renderer of their own.

They see neither frames nor tracks of ours. `pipeline.render_whole` gives them speech and reference,
takes their pictures, and does the rest as for every engine: clock, sound, labels, verification.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from pipeline.types import AudioFacts, Limits, OnTick, VideoFacts
from schemas.render import EngineFacts
from schemas.request import RenderOptions


@dataclass(frozen=True, slots=True)
class WholeJob:
    """One job of such an engine. The files were probed; `scratch` is the job's alone."""

    audio: AudioFacts
    video: VideoFacts
    options: RenderOptions
    limits: Limits
    scratch: Path
    threads: int


@runtime_checkable
class WholeEngine(Protocol):
    """One service."""

    @property
    def facts(self) -> EngineFacts:
        """As for every engine."""
        ...

    def render_whole(self, job: WholeJob, on_tick: OnTick) -> Path:
        """The finished video, a file in `job.scratch`; its sound is not used.

        `on_tick` is called while it is waited for, and may raise to stop.

        Raises:
            EngineUnavailable: the service does not answer.
            EngineFailed: it says so, loses the job, or stands still.
        """
        ...
