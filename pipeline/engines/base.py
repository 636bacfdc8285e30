"""What an engine is, and who calls what, in which order.

`pipeline.render` owns the story and the threads; an engine owns tensors. For each job, in order:

1. `prepare(reference)` once: everything that depends on the reference alone (banks, latents,
   masks, the fit of the person's own mouth). It may read frames again through `reference.frames`.
   Its result may be kept and shared between jobs on the same reference; it is never changed later.
   `parts` and `restore` take it apart for a file and put it together again (`pipeline.avatars`).
2. `plan(avatar, speech, timeline)` once: everything that depends on the whole speech.
3. `generate(plan, frames, outputs)` for consecutive runs of output frames. `frames[i]` is the
   reference's picture for output frame `outputs[i]`; the engine returns as many, in the same order.
   It must not touch a pixel outside its mask: the rest stays bit-identical.
   Calls of one job never overlap; calls of several jobs may (from several threads).
4. `finish(plan)` once, also after an error: figures for the report; releases what `plan` holds.

An engine raises only `PipelineError`s on purpose; everything else counts as a defect.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

from pipeline.avatars.parts import Parts
from pipeline.types import Frame, OnTick, VideoFacts
from schemas.render import EngineFacts, Span

if TYPE_CHECKING:
    from pipeline.faces.track import FaceTrack
    from pipeline.reading.audio import Speech
    from pipeline.timeline import Timeline


Avatar = TypeVar("Avatar")
Plan = TypeVar("Plan")


@dataclass(frozen=True, slots=True)
class Reference:
    """The reference video, tracked."""

    video: VideoFacts
    track: FaceTrack
    """One entry per grid frame that the job uses."""
    frames: Callable[[Iterable[int]], Iterator[Frame]]
    """Decode grid frames again, in the order asked for (ascending runs are cheap)."""
    speech: Speech | None
    """The reference's own sound at 16 kHz mono, if it has one."""
    scratch: Path
    device: str
    deadline: float | None = None
    """Second of `time.monotonic` at which the job must be done, as for `Engine.plan`."""


@dataclass(frozen=True, slots=True)
class Finish:
    """What an engine knows about a finished job."""

    quality: dict[str, Any]
    spans: list[Span]
    """In output frames."""
    warnings: list[str]


class Engine(Protocol[Avatar, Plan]):
    """One way to make a mouth speak."""

    @property
    def facts(self) -> EngineFacts:
        """Name, version, revision, weights, device. The revision changes when pixels may change."""
        ...

    def prepare(self, reference: Reference, on_tick: OnTick) -> Avatar:
        """Make everything that depends on the reference alone."""
        ...

    def parts(self, avatar: Avatar) -> Parts:
        """What to keep of an avatar, without what the track and the video hold already."""
        ...

    def restore(self, parts: Parts, reference: Reference) -> Avatar:
        """The avatar of a reference from its parts. Every avatar that plans comes from here.

        Raises:
            Unfit: they are not those of such an avatar.
        """
        ...

    def plan(
        self, avatar: Avatar, speech: Speech, timeline: Timeline, deadline: float | None = None
    ) -> Plan:
        """Make everything that depends on the whole speech.

        Args:
            deadline: second of `time.monotonic` at which the job must be done; an engine whose jobs
                share a device lets the late ones go first.
        """
        ...

    def generate(self, plan: Plan, frames: Sequence[Frame], outputs: Sequence[int]) -> list[Frame]:
        """Render consecutive output frames."""
        ...

    def finish(self, plan: Plan) -> Finish:
        """Close the job and tell what was seen."""
        ...


@runtime_checkable
class Warming(Protocol):
    """An engine whose first job would wait for something that can be done before."""

    def warm(self) -> None:
        """Do it now."""
        ...
