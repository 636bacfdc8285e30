"""The engine `wav2lip`: a checkpoint that the user owns."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from pipeline.checkpoint import check_names, read_checkpoint
from pipeline.engines.base import Reference
from pipeline.engines.neural.avatar import Avatar
from pipeline.engines.neural.engine import NeuralEngine
from pipeline.engines.wav2lip.avatar import prepare
from pipeline.engines.wav2lip.mel import MelWindows
from pipeline.engines.wav2lip.network import Wav2Lip, variant_of
from pipeline.engines.wav2lip.painter import Painter
from pipeline.errors import WeightsMissing
from pipeline.file_digest import sha256_of
from pipeline.types import OnTick
from schemas.codes import Stage
from schemas.render import EngineFacts, WeightFacts

if TYPE_CHECKING:
    from pipeline.reading.audio import Speech

REVISION = "10"
"""Counts up whenever this code makes other pixels from the same weights."""
LICENCE = (
    "wav2lip: the published checkpoints are for research and personal use only; whoever renders"
    " with one answers for the right to do so"
)

_SUFFIXES = (".pth", ".pt", ".safetensors")

_log = logging.getLogger(__name__)


class Wav2LipEngine(NeuralEngine):
    """Paints the lower half of a face crop per frame; `pipeline.engines.base.Engine`."""

    def __init__(
        self, network: Wav2Lip, device: str, used: list[WeightFacts], threads: int = 1
    ) -> None:
        pins = "-".join(fact.sha256[:8] for fact in used)
        facts = EngineFacts(
            name="wav2lip",
            version=str(network.side),
            revision=f"{REVISION}-{pins}" if pins else REVISION,
            weights=used,
            device=device,
        )
        self.painter = Painter(network, device, threads)
        super().__init__(facts, self.painter, warnings=[LICENCE])

    def hear(self, speech: Speech) -> MelWindows:
        """The mel of the whole speech."""
        return MelWindows(speech.samples)

    def prepare(self, reference: Reference, on_tick: OnTick) -> Avatar:
        """Boxes, pictures and masks of every frame with a usable face.

        Raises:
            NoFace: no frame has one.
        """
        return prepare(reference, self.painter.layout, on_tick)


def load_engine(root: Path, device: str, threads: int = 1) -> Wav2LipEngine:
    """The engine with the user's checkpoint, `<root>/wav2lip/*.pth` or `*.safetensors`.

    Says the research licence in the log, here and in every report.

    Raises:
        WeightsMissing: no checkpoint, several, or one of another network; says where to put it.
    """
    folder = root / "wav2lip"
    found = sorted(p for p in folder.glob("*") if p.is_file() and p.suffix in _SUFFIXES)
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
    return network.float().eval()  # some are saved in halves, all of their layers or a few
