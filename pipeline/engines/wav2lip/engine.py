"""The engine `wav2lip`: a checkpoint that the user owns."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pipeline.avatars.parts import Parts, Unfit
from pipeline.engines.base import Finish, Reference
from pipeline.engines.checkpoint import check_names, read_checkpoint
from pipeline.engines.fade import SpanLog, strength
from pipeline.engines.meshes import MeshTrack, length, mesh_at, why_not
from pipeline.engines.musetalk.boxes import Box, box_parts, boxes_of
from pipeline.engines.musetalk.contour import FACE, soft_mask
from pipeline.engines.planes import Window, read_rgb, write_rgb
from pipeline.engines.resize import opencv_linear
from pipeline.engines.wav2lip.boxes import smoothed
from pipeline.engines.wav2lip.mel import (
    at_least_one_window,
    mel_spectrogram,
    window_starts,
    windows,
)
from pipeline.engines.wav2lip.network import Wav2Lip, variant_of
from pipeline.engines.wav2lip.picture import fitted, network_input
from pipeline.errors import NoFace, WeightsMissing
from pipeline.hub_fetch import sha256_of
from pipeline.types import Color, Frame, OnTick, Tick
from schemas.codes import Stage
from schemas.render import EngineFacts, WeightFacts

if TYPE_CHECKING:
    from pipeline.audio import Speech
    from pipeline.timeline import Timeline

REVISION = "1"
"""Counts up whenever this code makes other pixels from the same weights."""
CHIN_MARGIN = 10
"""Pixels below the chin that the box takes in, as the original pads its detector's box."""
LICENCE = (
    "wav2lip: the published checkpoints are for research and personal use only; whoever renders"
    " with one answers for the right to do so"
)

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Avatar:
    """A reference, prepared: where the face is."""

    color: Color
    boxes: dict[int, Box]
    """By grid frame; frames without a usable face are missing."""
    track: MeshTrack


@dataclass(slots=True)
class Plan:
    """One job."""

    avatar: Avatar
    mel: Tensor
    """(80, T)."""
    timeline: Timeline
    log: SpanLog = field(default_factory=SpanLog)
    painted: int = 0

    def present(self, output: int) -> bool:
        """Whether an output frame has a face to paint."""
        return self.timeline.source(output) in self.avatar.boxes


class Wav2LipEngine:
    """Paints the lower half of a face crop per frame; `pipeline.engines.base.Engine`.

    Args:
        network: with weights, on its device.
        device: where it is.
        used: the checkpoint, for the report.
        lead: frames by which a frame's sound window begins earlier (`mel.window_starts`).
    """

    def __init__(
        self, network: Wav2Lip, device: str, used: list[WeightFacts], lead: int = 0
    ) -> None:
        self._network = network
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

    def prepare(self, reference: Reference, on_tick: OnTick) -> Avatar:
        """Boxes of every frame with a usable face, smoothed within each unbroken run.

        Raises:
            NoFace: no frame has one.
        """
        video = reference.video
        boxes: dict[int, Box] = {}
        for start, raw in _runs(reference.track):
            for n, edges in enumerate(smoothed(raw).round().to(torch.int64).tolist()):
                box = Box(*edges).clamped(video.height, video.width)
                if box.usable():
                    boxes[start + n] = box
        if not boxes:
            raise NoFace(
                f"none of the {length(reference.track)} frames shows a usable face",
                stage=Stage.TRACK,
            )
        on_tick(Tick("prepare", len(boxes), len(boxes)))
        return Avatar(video.color, boxes, reference.track)

    def parts(self, avatar: Avatar) -> Parts:
        """Boxes; the rest is the track's."""
        return box_parts(avatar.boxes)

    def restore(self, parts: Parts, reference: Reference) -> Avatar:
        """The avatar again.

        Raises:
            Unfit: they are not those of an avatar of this track.
        """
        video, track = reference.video, reference.track
        boxes = boxes_of(parts, length(track), video.height, video.width)
        if not boxes or not bool(track.usable[list(boxes)].all()):
            raise Unfit("boxes of frames that have no face")
        return Avatar(video.color, boxes, track)

    def plan(
        self,
        avatar: Avatar,
        speech: Speech,
        timeline: Timeline,
        deadline: float | None = None,  # noqa: ARG002 - jobs take turns batch by batch
    ) -> Plan:
        """The mel of the whole speech."""
        return Plan(avatar, at_least_one_window(mel_spectrogram(speech.samples)), timeline)

    def generate(self, plan: Plan, frames: Sequence[Frame], outputs: Sequence[int]) -> list[Frame]:
        """Paint consecutive output frames; those without a face pass through unchanged."""
        chosen = [n for n, frame in enumerate(frames) if frame.index in plan.avatar.boxes]
        made = list(frames)
        for n in set(range(len(frames))).difference(chosen):
            plan.log.add(outputs[n], why_not(plan.avatar.track, frames[n].index))
        if chosen:
            painted = self._paint(plan, [frames[n] for n in chosen], [outputs[n] for n in chosen])
            for n, face in zip(chosen, painted, strict=True):
                made[n] = self._blend(plan, frames[n], outputs[n], face)
            plan.painted += len(chosen)
        return made

    def finish(self, plan: Plan) -> Finish:
        """How many frames were painted, and which passed through; the licence, once more."""
        quality = {"painted_frames": plan.painted, "passed_frames": plan.log.frames}
        return Finish(quality=quality, spans=plan.log.spans(), warnings=[LICENCE])

    @torch.inference_mode()
    def _paint(self, plan: Plan, frames: list[Frame], outputs: list[int]) -> Tensor:
        """(B, 3, side, side) float BGR."""
        side = self._network.side
        crops = [
            opencv_linear(
                read_rgb(frame, _window(plan.avatar.boxes[frame.index]), plan.avatar.color),
                side,
                side,
            ).flip(0)
            for frame in frames
        ]
        run = range(outputs[0], outputs[-1] + 1)
        starts = window_starts(plan.timeline.fps, run, plan.mel.shape[1], self._lead)
        heard = windows(plan.mel, [starts[output - run.start] for output in outputs])
        like = next(self._network.parameters())
        x = network_input(torch.stack(crops).to(like.device)).to(like.dtype)
        out: Tensor = self._network(heard.to(like), x)
        return out

    def _blend(self, plan: Plan, frame: Frame, output: int, face: Tensor) -> Frame:
        box = plan.avatar.boxes[frame.index]
        mesh = mesh_at(plan.avatar.track, frame.index)
        assert mesh is not None, "a box is made from a mesh"
        weight = soft_mask(mesh.to(face.device), box)
        shown = strength(output, plan.timeline.frames, plan.present)
        if shown < 1.0:
            weight = (weight.float() * shown).round().to(torch.uint8)
        rgb = fitted(face.flip(0), box.height, box.width)
        return write_rgb(frame, rgb, weight, _window(box), plan.avatar.color)


def load_engine(root: Path, device: str) -> Wav2LipEngine:
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
    return Wav2LipEngine(network, device, [used])


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


def _runs(track: MeshTrack) -> Iterator[tuple[int, Tensor]]:
    """Unbroken runs of faces: the first grid frame, and (n, 4) float boxes."""
    run: list[Tensor] = []
    for index in range(length(track) + 1):
        mesh = mesh_at(track, index)
        if mesh is not None:
            run.append(_face(mesh))
        elif run:
            yield index - len(run), torch.stack(run)
            run = []


def _face(mesh: Tensor) -> Tensor:
    """Forehead to chin and cheek to cheek, with the margin below; (4,) x0, y0, x1, y1."""
    outline = mesh[list(FACE)]
    low, high = outline.min(dim=0).values, outline.max(dim=0).values
    return torch.stack([low[0], low[1], high[0], high[1] + CHIN_MARGIN])


def _window(box: Box) -> Window:
    return Window(box.x0, box.y0, box.x1, box.y1)
