"""An engine that paints a box of the face by a network, in batches shared by all running jobs.

What is particular to a network lies in a subclass: how a reference is prepared, and what is heard.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from pipeline.avatars.parts import Parts
from pipeline.batching.row import gather
from pipeline.engines.base import Finish, Reference
from pipeline.engines.neural.ahead import Ahead
from pipeline.engines.neural.avatar import Avatar, parts_of, restored
from pipeline.engines.neural.compose import Placed, compose
from pipeline.engines.neural.painter import Painter
from pipeline.engines.neural.plan import Hearing, Plan, planned
from pipeline.engines.windows import brought
from pipeline.types import Frame, OnTick
from schemas.render import EngineFacts

if TYPE_CHECKING:
    from pipeline.reading.audio import Speech
    from pipeline.timeline import Timeline

AHEAD = 2
"""Largest batches that a job is painted ahead."""


class NeuralEngine(ABC):
    """`pipeline.engines.base.Engine` but for `prepare`.

    Args:
        painter: the device side, shared by all jobs.
        warnings: what every report of it says.
    """

    def __init__(self, facts: EngineFacts, painter: Painter, warnings: Sequence[str] = ()) -> None:
        self._facts = facts
        self._device = facts.device
        self._painter = painter
        self._warnings = list(warnings)

    @property
    def facts(self) -> EngineFacts:
        """Name, version, revision, weights, device."""
        return self._facts

    @abstractmethod
    def hear(self, speech: Speech) -> Hearing:
        """What the network hears of a speech."""

    @abstractmethod
    def prepare(self, reference: Reference, on_tick: OnTick) -> Avatar:
        """Box, mask and input of every frame with a usable face.

        Raises:
            NoFace: no frame has one.
        """

    def warm(self) -> None:
        """Capture and compile now what the first job would wait for."""
        self._painter.warm()

    def parts(self, avatar: Avatar) -> Parts:
        """Boxes, masks and inputs."""
        return parts_of(avatar, self._painter.layout)

    def restore(self, parts: Parts, reference: Reference) -> Avatar:
        """The avatar again; its rows stay in their file.

        Raises:
            Unfit: they are not those of an avatar of this track.
        """
        return restored(parts, reference, self._painter.layout)

    def plan(
        self,
        avatar: Avatar,
        speech: Speech,
        timeline: Timeline,
        deadline: float | None = None,
    ) -> Plan:
        """Get ready to hear the speech; faces are painted ahead of their frames."""
        plan = planned(avatar, self.hear(speech), timeline)
        plan.ahead = Ahead(
            self._painter.paint(deadline),
            plan.faces,
            plan.shown.__getitem__,
            timeline.frames,
            AHEAD * self._painter.limit,
            self._device,
        )
        return plan

    @torch.inference_mode()
    def generate(self, plan: Plan, frames: Sequence[Frame], outputs: Sequence[int]) -> list[Frame]:
        """Paint consecutive output frames; those without a face pass through unchanged."""
        made = list(frames)
        chosen: list[int] = []
        for n, frame in enumerate(frames):
            if frame.index in plan.avatar.boxes:
                chosen.append(n)
            else:
                plan.log.add(outputs[n], plan.avatar.track.reason(frame.index) or "no_face")
        if chosen:
            painted = self._painted(plan, [(frames[n], outputs[n]) for n in chosen])
            for n, frame in zip(chosen, painted, strict=True):
                made[n] = frame
            plan.painted += len(chosen)
        return made

    def finish(self, plan: Plan) -> Finish:
        """How many frames were painted, and which passed through."""
        if plan.ahead is not None:
            plan.ahead.close()
        quality = {"painted_frames": plan.painted, "passed_frames": plan.log.frames}
        return Finish(quality=quality, spans=plan.log.spans(), warnings=list(self._warnings))

    def _painted(self, plan: Plan, chosen: list[tuple[Frame, int]]) -> list[Frame]:
        if plan.ahead is None:
            raise ValueError("the plan is finished")
        avatar = plan.avatar
        faces = gather(plan.ahead.take([output for _, output in chosen]))
        placed = [
            Placed(frame, avatar.boxes[frame.index].window(), plan.shown.strength(output))
            for frame, output in chosen
        ]
        masks = avatar.masks[[avatar.rows[frame.index] for frame, _ in chosen]]
        return compose(placed, faces, brought(masks, faces.device), avatar.color)
