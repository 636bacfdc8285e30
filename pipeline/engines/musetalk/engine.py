"""The engines `musetalk` and `musetalk-fast`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from pipeline.avatars.parts import Parts
from pipeline.batching.cuda import REACH_FIRST, is_cuda, new_stream
from pipeline.batching.row import gather
from pipeline.engines.base import Finish, Reference
from pipeline.engines.fade import Kind, Presence, SpanLog
from pipeline.engines.meshes import MeshTrack, why_not
from pipeline.engines.musetalk import weights
from pipeline.engines.musetalk.avatar import Avatar, parts_of, prepare, restored
from pipeline.engines.musetalk.doubling import double_at_once
from pipeline.engines.musetalk.hearing import SpeechTokens
from pipeline.engines.musetalk.networks import Networks
from pipeline.engines.musetalk.painter import Face, Painter
from pipeline.engines.neural.ahead import Ahead
from pipeline.engines.neural.compose import Placed, compose
from pipeline.engines.planes import Window
from pipeline.types import Frame, OnTick
from schemas.render import EngineFacts, WeightFacts

if TYPE_CHECKING:
    from pipeline.audio import Speech
    from pipeline.timeline import Timeline

VERSION = "1.5"
REVISION = "2"
"""Counts up whenever this code makes other pixels from the same weights."""
AHEAD = 2
"""Largest batches that a job is painted ahead."""


@dataclass(slots=True)
class Plan:
    """One job: a reference, a speech, a clock."""

    avatar: Avatar
    speech: SpeechTokens
    timeline: Timeline
    track: MeshTrack
    stream: torch.cuda.Stream | None
    """Of this job alone on a GPU, so that jobs do not wait for each other's small steps."""
    shown: Presence
    """Which output frames have a face to paint."""
    log: SpanLog = field(default_factory=SpanLog)
    painted: int = 0
    ahead: Ahead | None = None

    def faces(self, outputs: range) -> list[Face]:
        """Latents and tokens of those outputs that are painted."""
        chosen = [n for n, output in enumerate(outputs) if self.shown[output]]
        if not chosen:
            return []
        heard = self.speech.frames(self.timeline.fps, outputs).unbind()
        rows = [self.avatar.rows[self.timeline.source(outputs[n])] for n in chosen]
        latents = self.avatar.latents[rows].unbind()
        return [(latent, heard[n]) for latent, n in zip(latents, chosen, strict=True)]

    def on_stream(self) -> AbstractContextManager[Any]:
        """What runs inside goes to this job's stream."""
        return nullcontext() if self.stream is None else torch.cuda.stream(self.stream)


@dataclass(frozen=True, slots=True)
class Prepared:
    """An avatar, and the track it was made from (for the reasons of frames without a face)."""

    avatar: Avatar
    track: MeshTrack


class MuseTalkEngine:
    """Paints the lower face in one UNet pass per frame; `pipeline.engines.base.Engine`.

    Args:
        networks: with weights, on their device; None for an engine that only tells its facts.
        device: where they are.
        fast: whether the decoder is the tiny one.
        used: the weights, for the report.
        threads: processors that one operator may use on the CPU.
        compiled: on CUDA, compile the networks for the largest batch.
    """

    def __init__(
        self,
        networks: Networks | None,
        device: str,
        fast: bool,
        used: list[WeightFacts],
        threads: int = 1,
        compiled: bool = True,
    ) -> None:
        self._loaded = Painter(networks, device, threads, compiled=compiled) if networks else None
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

    @property
    def painter(self) -> Painter:
        """The device side, shared by all jobs."""
        if self._loaded is None:
            raise ValueError("this engine was made without its networks")
        return self._loaded

    def warm(self) -> None:
        """Capture and compile now what the first job would wait for."""
        self.painter.warm()

    def prepare(self, reference: Reference, on_tick: OnTick) -> Prepared:
        """Boxes, meshes and latents of every frame with a usable face.

        Raises:
            NoFace: no frame has one.
        """
        return Prepared(prepare(reference, self.painter, on_tick), reference.track)

    def parts(self, avatar: Prepared) -> Parts:
        """Boxes and latents."""
        return parts_of(avatar.avatar)

    def restore(self, parts: Parts, reference: Reference) -> Prepared:
        """The avatar again; its latents stay in their file.

        Raises:
            Unfit: they are not those of an avatar of this track.
        """
        return Prepared(restored(parts, reference, self.painter.dtype), reference.track)

    def plan(
        self,
        avatar: Prepared,
        speech: Speech,
        timeline: Timeline,
        deadline: float | None = None,
    ) -> Plan:
        """Get ready to hear the speech; it is encoded piece by piece while frames are made."""
        heard = SpeechTokens(self.painter.networks.whisper, speech.samples)
        stream = new_stream(self._device, REACH_FIRST) if is_cuda(self._device) else None
        boxes = avatar.avatar.boxes
        shown = Presence(timeline.frames, lambda output: timeline.source(output) in boxes)
        plan = Plan(avatar.avatar, heard, timeline, avatar.track, stream, shown)
        plan.ahead = Ahead(
            self.painter.paint(deadline),
            plan.faces,
            shown.__getitem__,
            timeline.frames,
            AHEAD * self.painter.limit,
            self._device,
        )
        return plan

    @torch.inference_mode()
    def generate(self, plan: Plan, frames: Sequence[Frame], outputs: Sequence[int]) -> list[Frame]:
        """Paint consecutive output frames; those without a face pass through unchanged."""
        chosen = [n for n, frame in enumerate(frames) if frame.index in plan.avatar.boxes]
        made = list(frames)
        for n in set(range(len(frames))).difference(chosen):
            plan.log.add(outputs[n], self._reason(plan, frames[n].index))
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
        return Finish(quality=quality, spans=plan.log.spans(), warnings=[])

    def _painted(self, plan: Plan, chosen: list[tuple[Frame, int]]) -> list[Frame]:
        if plan.ahead is None:
            raise ValueError("the plan is finished")
        with plan.on_stream():
            rows = plan.ahead.take([output for _, output in chosen])
            placed = [self._placed(plan, frame, output) for frame, output in chosen]
            masks = plan.avatar.masks[[plan.avatar.rows[frame.index] for frame, _ in chosen]]
            return compose(placed, gather(rows), masks.to(self._device), plan.avatar.color)

    @staticmethod
    def _placed(plan: Plan, frame: Frame, output: int) -> Placed:
        box = plan.avatar.boxes[frame.index]
        return Placed(frame, Window(box.x0, box.y0, box.x1, box.y1), plan.shown.strength(output))

    @staticmethod
    def _reason(plan: Plan, index: int) -> Kind:
        return why_not(plan.track, index)


def load_engine(
    root: Path, device: str, fast: bool = False, threads: int = 1, compiled: bool = True
) -> MuseTalkEngine:
    """The engine with the weights of this machine.

    Args:
        root: folder of all weights.
        device: `cpu`, `cuda`, `cuda:1`, …; half precision on CUDA, float32 elsewhere.
        fast: decode with the tiny autoencoder: 213 instead of 800 GFLOP per frame.
        threads: processors that one operator may use on the CPU.
        compiled: on CUDA, compile the networks for the largest batch.

    Raises:
        WeightsMissing: they are not here; names the command that brings them.
    """
    dtype = torch.float16 if is_cuda(device) else torch.float32
    networks = tuned(weights.load(root, device, dtype, fast))
    return MuseTalkEngine(networks, device, fast, weights.facts(fast), threads, compiled)


def tuned(networks: Networks) -> Networks:
    """The same networks, rearranged for speed: equal up to rounding. They lose their tensor names.

    Channels lie innermost on CUDA, as tensor cores read them; doublings cost four ninths.
    """
    for network in {id(n): n for n in (networks.unet, networks.vae, networks.decoder)}.values():
        double_at_once(network)
        if network.device.type == "cuda":
            network.to(memory_format=torch.channels_last)
    return networks
