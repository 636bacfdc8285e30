"""The engine `viseme`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from pipeline.avatars.parts import Parts
from pipeline.engines.base import Finish, Reference
from pipeline.engines.viseme.avatar import Avatar, parts_of, prepare, restored
from pipeline.engines.viseme.blink import blink, closure
from pipeline.engines.viseme.paint import paint
from pipeline.engines.viseme.plan import Plan, planned
from pipeline.engines.viseme.report import report
from pipeline.engines.viseme.sway import sway, swing
from pipeline.types import Frame, OnTick
from pipeline.weights import REVISION as FACES_REVISION
from schemas.render import EngineFacts, WeightFacts

if TYPE_CHECKING:
    from pipeline.reading.audio import Speech
    from pipeline.timeline import Timeline

VERSION = "1"
REVISION = "38"
"""Counts up whenever this code makes other pixels."""


class VisemeEngine:
    """Example-based visual speech synthesis; `pipeline.engines.base.Engine`."""

    def __init__(self, device: str, weights: list[WeightFacts]) -> None:
        self._device = device
        self._facts = EngineFacts(
            name="viseme",
            version=VERSION,
            revision=f"{REVISION}-{FACES_REVISION}",
            weights=weights,
            device=device,
        )

    @property
    def facts(self) -> EngineFacts:
        """Name, version, revision, the face models, device."""
        return self._facts

    @torch.inference_mode()
    def prepare(self, reference: Reference, on_tick: OnTick) -> Avatar:
        """Measure the reference's mouth and keep the frames that may lend theirs.

        Raises:
            NoFace: no frame has a usable face.
        """
        return prepare(reference, self._device, on_tick)

    def parts(self, avatar: Avatar) -> Parts:
        """Measures, canvas, bank and the person's own mouth."""
        return parts_of(avatar)

    def restore(self, parts: Parts, reference: Reference) -> Avatar:
        """The avatar again, to the bit.

        Raises:
            Unfit: they are not those of an avatar of this track.
        """
        return restored(parts, reference, self._device)

    @torch.inference_mode()
    def plan(
        self,
        avatar: Avatar,
        speech: Speech,
        timeline: Timeline,
        deadline: float | None = None,  # noqa: ARG002 - jobs share nothing here
    ) -> Plan:
        """What every output frame's mouth does, and which frame of the reference lends it."""
        return planned(avatar, speech, timeline)

    @torch.inference_mode()
    def generate(self, plan: Plan, frames: Sequence[Frame], outputs: Sequence[int]) -> list[Frame]:
        """Paint consecutive output frames; those without a usable face pass through unchanged."""
        made = list(frames)
        chosen = [n for n, output in enumerate(outputs) if float(plan.strength[output]) > 0]
        for n in sorted(set(range(len(made))).difference(chosen)):
            reason = plan.avatar.reference.track.reason(frames[n].index)
            plan.log.add(outputs[n], reason or "profile")
        if chosen:
            painted = paint(plan, [frames[n] for n in chosen], [outputs[n] for n in chosen])
            for n, frame in zip(chosen, painted, strict=True):
                made[n] = frame
            plan.tally.painted += len(chosen)
        if plan.avatar.reference.video.still:
            made = [self._alive(plan, *pair) for pair in zip(made, outputs, strict=True)]
        return made

    def _alive(self, plan: Plan, frame: Frame, output: int) -> Frame:
        """A still picture blinks, and its head turns a little."""
        if float(plan.strength[output]) <= 0:
            return frame
        points = plan.avatar.reference.track.points(frame.index, frame.index + 1)[0]
        seconds = output / float(plan.fps)
        frame = blink(frame, points, closure(seconds), self._device)
        return sway(frame, points, swing(seconds), self._device)

    def finish(self, plan: Plan) -> Finish:
        """Mode, units used, what was asked of the mouth, and warnings about the reference."""
        return report(plan)


def load_engine(root: Path, device: str, threads: int) -> VisemeEngine:
    """The engine on a device; the face models in `root` are those that the tracker loads.

    Args:
        threads: processor budget of a job. Stages overlap instead of sharing one operator's work,
            so nothing is set from it.
    """
    del root, threads
    from pipeline.weights import face_facts

    return VisemeEngine(device, face_facts())
