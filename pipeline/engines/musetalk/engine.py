"""The engines `musetalk` and `musetalk-fast`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pipeline.engines.base import Finish, Reference
from pipeline.engines.fade import Kind, SpanLog, strength
from pipeline.engines.meshes import MeshTrack, why_not
from pipeline.engines.musetalk import weights
from pipeline.engines.musetalk.avatar import Avatar, prepare
from pipeline.engines.musetalk.hearing import SpeechTokens
from pipeline.engines.musetalk.networks import Networks
from pipeline.engines.musetalk.painter import Painter
from pipeline.engines.planes import Window, write_rgb
from pipeline.engines.resize import opencv_linear
from pipeline.types import Frame, OnTick
from schemas.render import EngineFacts, WeightFacts

if TYPE_CHECKING:
    from pipeline.audio import Speech
    from pipeline.timeline import Timeline

VERSION = "1.5"
REVISION = "1"
"""Counts up whenever this code makes other pixels from the same weights."""


@dataclass(slots=True)
class Plan:
    """One job: a reference, a speech, a clock."""

    avatar: Avatar
    speech: SpeechTokens
    timeline: Timeline
    track: MeshTrack
    log: SpanLog = field(default_factory=SpanLog)
    painted: int = 0

    def present(self, output: int) -> bool:
        """Whether an output frame has a face to paint."""
        return self.timeline.source(output) in self.avatar.boxes


@dataclass(frozen=True, slots=True)
class Prepared:
    """An avatar, and the track it was made from (for the reasons of frames without a face)."""

    avatar: Avatar
    track: MeshTrack


class MuseTalkEngine:
    """Paints the lower face in one UNet pass per frame; `pipeline.engines.base.Engine`.

    Args:
        networks: with weights, on their device.
        device: where they are.
        fast: whether the decoder is the tiny one.
        used: the weights, for the report.
    """

    def __init__(
        self, networks: Networks, device: str, fast: bool, used: list[WeightFacts]
    ) -> None:
        self._painter = Painter(networks)
        self._device = device
        pins = "-".join(fact.sha256[:8] for fact in used[:1])
        self._facts = EngineFacts(
            name="musetalk-fast" if fast else "musetalk",
            version=VERSION,
            revision=f"{REVISION}-{pins}" if pins else REVISION,
            weights=used,
            device=device,
        )

    @property
    def facts(self) -> EngineFacts:
        """Name, version, revision, weights, device."""
        return self._facts

    def prepare(self, reference: Reference, on_tick: OnTick) -> Prepared:
        """Boxes, meshes and latents of every frame with a usable face.

        Raises:
            NoFace: no frame has one.
        """
        return Prepared(prepare(reference, self._painter, on_tick), reference.track)

    def plan(self, avatar: Prepared, speech: Speech, timeline: Timeline) -> Plan:
        """Get ready to hear the speech; it is encoded piece by piece while frames are made."""
        heard = SpeechTokens(self._painter.networks.whisper, speech.samples)
        return Plan(avatar.avatar, heard, timeline, avatar.track)

    def generate(self, plan: Plan, frames: Sequence[Frame], outputs: Sequence[int]) -> list[Frame]:
        """Paint consecutive output frames; those without a face pass through unchanged."""
        avatar = plan.avatar
        chosen = [n for n, frame in enumerate(frames) if frame.index in avatar.boxes]
        made = list(frames)
        for n in set(range(len(frames))).difference(chosen):
            plan.log.add(outputs[n], self._reason(plan, frames[n].index))
        if chosen:
            faces = self._faces(plan, [frames[n] for n in chosen], [outputs[n] for n in chosen])
            for n, face in zip(chosen, faces, strict=True):
                made[n] = self._blend(plan, frames[n], outputs[n], face)
            plan.painted += len(chosen)
        return made

    def finish(self, plan: Plan) -> Finish:
        """How many frames were painted, and which passed through."""
        quality = {"painted_frames": plan.painted, "passed_frames": plan.log.frames}
        return Finish(quality=quality, spans=plan.log.spans(), warnings=[])

    def _faces(self, plan: Plan, frames: list[Frame], outputs: list[int]) -> Tensor:
        """(B, 3, 256, 256) uint8 RGB on the device."""
        avatar = plan.avatar
        latents = avatar.latents[[avatar.rows[frame.index] for frame in frames]]
        run = range(outputs[0], outputs[-1] + 1)
        tokens = plan.speech.frames(plan.timeline.fps, run)
        heard = tokens[[output - run.start for output in outputs]]
        return self._painter.pictures(latents, heard)

    def _blend(self, plan: Plan, frame: Frame, output: int, face: Tensor) -> Frame:
        box = plan.avatar.boxes[frame.index]
        weight = plan.avatar.mask(frame.index)
        shown = strength(output, plan.timeline.frames, plan.present)
        if shown < 1.0:
            weight = (weight.float() * shown).round().to(torch.uint8)
        fitted = opencv_linear(face, box.height, box.width)
        window = Window(box.x0, box.y0, box.x1, box.y1)
        return write_rgb(frame, fitted, weight, window, plan.avatar.color)

    @staticmethod
    def _reason(plan: Plan, index: int) -> Kind:
        return why_not(plan.track, index)


def load_engine(root: Path, device: str, fast: bool = False) -> MuseTalkEngine:
    """The engine with the weights of this machine.

    Args:
        root: folder of all weights.
        device: `cpu`, `cuda`, `cuda:1`, …; half precision on CUDA, float32 elsewhere.
        fast: decode with the tiny autoencoder: 213 instead of 800 GFLOP per frame.

    Raises:
        WeightsMissing: they are not here; names the command that brings them.
    """
    dtype = torch.float16 if torch.device(device).type == "cuda" else torch.float32
    networks = weights.load(root, device, dtype, fast)
    return MuseTalkEngine(networks, device, fast, weights.facts(fast))
