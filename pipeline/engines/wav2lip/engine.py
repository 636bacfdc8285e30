"""The engine `wav2lip`: a checkpoint that the user owns."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from pipeline.avatars.parts import Parts
from pipeline.batching.cuda import REACH_FIRST, is_cuda, new_stream
from pipeline.batching.row import gather
from pipeline.engines.base import Finish, Reference
from pipeline.engines.checkpoint import check_names, read_checkpoint
from pipeline.engines.fade import Presence, SpanLog
from pipeline.engines.meshes import why_not
from pipeline.engines.neural.ahead import Ahead
from pipeline.engines.neural.boxes import Box
from pipeline.engines.neural.compose import Placed, compose
from pipeline.engines.planes import Window
from pipeline.engines.wav2lip.avatar import Avatar, parts_of, prepare, restored
from pipeline.engines.wav2lip.mel import (
    at_least_one_window,
    mel_spectrogram,
    window_starts,
    windows,
)
from pipeline.engines.wav2lip.network import Wav2Lip, variant_of
from pipeline.engines.wav2lip.painter import Face, Painter
from pipeline.errors import WeightsMissing
from pipeline.hub_fetch import sha256_of
from pipeline.types import Frame, OnTick
from schemas.codes import Stage
from schemas.render import EngineFacts, WeightFacts

if TYPE_CHECKING:
    from pipeline.audio import Speech
    from pipeline.timeline import Timeline

REVISION = "2"
"""Counts up whenever this code makes other pixels from the same weights."""
AHEAD = 2
"""Largest batches that a job is painted ahead."""
LICENCE = (
    "wav2lip: the published checkpoints are for research and personal use only; whoever renders"
    " with one answers for the right to do so"
)

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Plan:
    """One job."""

    avatar: Avatar
    mel: Tensor
    """(80, T)."""
    timeline: Timeline
    shown: Presence
    """Which output frames have a face to paint."""
    lead: int
    stream: torch.cuda.Stream | None
    """Of this job alone on a GPU, so that jobs do not wait for each other's small steps."""
    log: SpanLog = field(default_factory=SpanLog)
    painted: int = 0
    ahead: Ahead | None = None

    def faces(self, outputs: range) -> list[Face]:
        """Pictures and windows of the mel of those outputs that are painted."""
        chosen = [n for n, output in enumerate(outputs) if self.shown[output]]
        if not chosen:
            return []
        starts = window_starts(self.timeline.fps, outputs, self.mel.shape[1], self.lead)
        heard = windows(self.mel, [starts[n] for n in chosen])[:, 0].unbind()
        rows = [self.avatar.rows[self.timeline.source(outputs[n])] for n in chosen]
        return list(zip(self.avatar.pictures[rows].unbind(), heard, strict=True))

    def on_stream(self) -> AbstractContextManager[Any]:
        """What runs inside goes to this job's stream."""
        return nullcontext() if self.stream is None else torch.cuda.stream(self.stream)


class Wav2LipEngine:
    """Paints the lower half of a face crop per frame; `pipeline.engines.base.Engine`.

    Args:
        network: with weights, on its device.
        device: where it is.
        used: the checkpoint, for the report.
        lead: frames by which a frame's sound window begins earlier (`mel.window_starts`).
        threads: processors that one operator may use on the CPU.
        compiled: on CUDA, compile the network for the largest batch.
    """

    def __init__(
        self,
        network: Wav2Lip,
        device: str,
        used: list[WeightFacts],
        lead: int = 0,
        threads: int = 1,
        compiled: bool = True,
    ) -> None:
        self.painter = Painter(network, device, threads, compiled=compiled)
        self._device = device
        self._lead = lead
        pins = "-".join(fact.sha256[:8] for fact in used)
        self._facts = EngineFacts(
            name="wav2lip",
            version=str(network.side),
            revision=f"{REVISION}-{pins}" if pins else REVISION,
            weights=used,
            device=device,
        )

    @property
    def facts(self) -> EngineFacts:
        """Name, version (the picture's side), revision, weights, device."""
        return self._facts

    def warm(self) -> None:
        """Capture and compile now what the first job would wait for."""
        self.painter.warm()

    def prepare(self, reference: Reference, on_tick: OnTick) -> Avatar:
        """Boxes, pictures and masks of every frame with a usable face.

        Raises:
            NoFace: no frame has one.
        """
        return prepare(reference, self.painter.side, on_tick)

    def parts(self, avatar: Avatar) -> Parts:
        """Boxes, pictures and masks; the rest is the track's."""
        return parts_of(avatar)

    def restore(self, parts: Parts, reference: Reference) -> Avatar:
        """The avatar again; its pictures stay in their file.

        Raises:
            Unfit: they are not those of an avatar of this track.
        """
        return restored(parts, reference, self.painter.side)

    def plan(
        self,
        avatar: Avatar,
        speech: Speech,
        timeline: Timeline,
        deadline: float | None = None,
    ) -> Plan:
        """The mel of the whole speech; faces are painted ahead of their frames."""
        mel = at_least_one_window(mel_spectrogram(speech.samples))
        shown = Presence(timeline.frames, lambda output: timeline.source(output) in avatar.boxes)
        stream = new_stream(self._device, REACH_FIRST) if is_cuda(self._device) else None
        plan = Plan(avatar, mel, timeline, shown, self._lead, stream)
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
        for n in sorted(set(range(len(frames))).difference(chosen)):
            plan.log.add(outputs[n], why_not(plan.avatar.track, frames[n].index))
        if chosen:
            painted = self._painted(plan, [(frames[n], outputs[n]) for n in chosen])
            for n, frame in zip(chosen, painted, strict=True):
                made[n] = frame
            plan.painted += len(chosen)
        return made

    def _painted(self, plan: Plan, chosen: list[tuple[Frame, int]]) -> list[Frame]:
        if plan.ahead is None:
            raise ValueError("the plan is finished")
        avatar = plan.avatar
        with plan.on_stream():
            faces = gather(plan.ahead.take([output for _, output in chosen]))
            placed = [
                Placed(frame, _window(avatar.boxes[frame.index]), plan.shown.strength(output))
                for frame, output in chosen
            ]
            masks = avatar.masks[[avatar.rows[frame.index] for frame, _ in chosen]]
            return compose(placed, faces, masks.to(self._device), avatar.color)

    def finish(self, plan: Plan) -> Finish:
        """How many frames were painted, and which passed through; the licence, once more."""
        if plan.ahead is not None:
            plan.ahead.close()
        quality = {"painted_frames": plan.painted, "passed_frames": plan.log.frames}
        return Finish(quality=quality, spans=plan.log.spans(), warnings=[LICENCE])


def load_engine(root: Path, device: str, threads: int = 1) -> Wav2LipEngine:
    """The engine with the user's checkpoint, `<root>/wav2lip/*.pth` or `*.safetensors`.

    Says the research licence in the log, here and in every report.

    Raises:
        WeightsMissing: no checkpoint, several, or one of another network; says where to put it.
    """
    folder = root / "wav2lip"
    found = sorted(p for p in folder.glob("*") if p.suffix in (".pth", ".pt", ".safetensors"))
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise WeightsMissing(
            f"wav2lip needs exactly one checkpoint of yours in {folder} (found: {names}): put"
            " wav2lip.pth or wav2lip_gan.pth there; Face2Face does not fetch it",
            stage=Stage.GENERATE,
            engine="wav2lip",
        )
    _log.warning(LICENCE)
    network = load_network(found[0]).to(device)
    digest = sha256_of(found[0])
    used = WeightFacts(name=found[0].name, revision="user", sha256=digest)
    return Wav2LipEngine(network, device, [used], threads=threads)


def load_network(path: Path) -> Wav2Lip:
    """The network of a checkpoint, of whichever size it is.

    Raises:
        WeightsMissing: it is no Wav2Lip checkpoint of a known size.
    """
    tensors = read_checkpoint(path)
    first = "face_encoder_blocks.{}.0.conv_block.0.weight"
    last = max((n for n in range(32) if first.format(n) in tensors), default=0)
    kernel = tensors[first.format(last)].shape[-1] if first.format(last) in tensors else 0
    variant = variant_of(list(tensors), kernel)
    if variant is None:
        raise WeightsMissing(
            f"{path.name} is no Wav2Lip checkpoint for 96, 256 or 288 px", stage=Stage.GENERATE
        )
    with torch.device("meta"):
        network = Wav2Lip(variant)
    check_names(f"wav2lip {variant.side}", tensors, network)
    network.load_state_dict(tensors, strict=True, assign=True)
    network.requires_grad_(False)
    return network.eval()


def _window(box: Box) -> Window:
    return Window(box.x0, box.y0, box.x1, box.y1)
