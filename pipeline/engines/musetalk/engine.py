"""The engines `musetalk` and `musetalk-fast`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from pipeline.batching.cuda import is_cuda
from pipeline.engines.base import Reference
from pipeline.engines.musetalk import weights
from pipeline.engines.musetalk.avatar import prepare
from pipeline.engines.musetalk.doubling import double_at_once
from pipeline.engines.musetalk.hearing import SpeechTokens
from pipeline.engines.musetalk.networks import Networks
from pipeline.engines.musetalk.painter import Painter
from pipeline.engines.musetalk.precision import sound
from pipeline.engines.neural.avatar import Avatar
from pipeline.engines.neural.engine import NeuralEngine
from pipeline.types import OnTick
from schemas.render import EngineFacts, WeightFacts

if TYPE_CHECKING:
    from pipeline.reading.audio import Speech

VERSION = "1.5"
REVISION = "9"
"""Counts up whenever this code makes other pixels from the same weights."""


class MuseTalkEngine(NeuralEngine):
    """Paints the lower face in one UNet pass per frame; `pipeline.engines.base.Engine`.

    Args:
        fast: whether the decoder is the tiny one.
    """

    def __init__(
        self,
        networks: Networks,
        device: str,
        fast: bool,
        used: list[WeightFacts],
        threads: int = 1,
        compiled: bool = True,
    ) -> None:
        facts = facts_of(device, fast, used)
        self.painter = Painter(networks, device, threads, compiled=compiled, name=facts.name)
        super().__init__(facts, self.painter)

    def hear(self, speech: Speech) -> SpeechTokens:
        """The speech, which is encoded piece by piece while frames are made."""
        painter = self.painter
        return SpeechTokens(painter.networks.whisper, speech.samples, painter.listen)

    def prepare(self, reference: Reference, on_tick: OnTick) -> Avatar:
        """Boxes, masks and latents of every frame with a usable face.

        Raises:
            NoFace: no frame has one.
        """
        return prepare(reference, self.painter, on_tick)


def facts_of(device: str, fast: bool, used: list[WeightFacts]) -> EngineFacts:
    """What is said of an engine, whose networks need not be loaded for it."""
    pins = "-".join(fact.sha256[:8] for fact in used[:1])
    return EngineFacts(
        name="musetalk-fast" if fast else "musetalk",
        version=VERSION,
        revision=f"{REVISION}-{pins}" if pins else REVISION,
        weights=used,
        device=device,
    )


def load_engine(
    root: Path, device: str, fast: bool = False, threads: int = 1, compiled: bool = True
) -> MuseTalkEngine:
    """The engine with the weights of this machine.

    Args:
        device: `cpu`, `cuda`, `cuda:1`, …; half precision on CUDA (`precision.sound`), float32
            elsewhere.
        fast: decode with the tiny autoencoder: 213 instead of 800 GFLOP per frame.
        compiled: on CUDA, compile the networks for the largest batch.

    Raises:
        WeightsMissing: they are not here; names the command that brings them.
    """
    innermost = is_cuda(device)

    def load(dtype: torch.dtype) -> Networks:
        return tuned(weights.load(root, device, dtype, fast), innermost=innermost)

    networks = sound(load) if is_cuda(device) else load(torch.float32)
    return MuseTalkEngine(networks, device, fast, weights.facts(fast), threads, compiled)


def tuned(networks: Networks, *, innermost: bool) -> Networks:
    """The same networks, rearranged for speed: equal up to rounding. They lose their tensor names.

    Doublings cost four ninths.

    Args:
        innermost: channels, as tensor cores read them.
    """
    for network in {id(n): n for n in (networks.unet, networks.vae, networks.decoder)}.values():
        double_at_once(network)
        if innermost:
            network.to(memory_format=torch.channels_last)
    return networks
