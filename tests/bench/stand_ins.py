"""Stand-ins for networks, of the true shapes, that take next to no time; and a GPU's way of work.

What is left is what runs on the host around a GPU: the batcher, the jobs' threads, windows, crops,
blending, decoding and encoding. Only benchmarks may know of this.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import torch
from torch import Tensor

from pipeline import batch_sizes
from pipeline.engines import registry
from pipeline.engines.musetalk import hearing, painter
from pipeline.engines.musetalk.engine import MuseTalkEngine
from pipeline.engines.musetalk.networks import Networks
from pipeline.engines.musetalk.picture import SIDE
from pipeline.engines.musetalk.windows import STATES
from pipeline.engines.neural import avatar
from pipeline.engines.neural import painter as neural_painter
from pipeline.engines.wav2lip import painter as wav2lip_painter
from pipeline.engines.wav2lip.engine import Wav2LipEngine
from pipeline.engines.wav2lip.network import Wav2Lip
from pipeline.faces import detector, loaded, mesh
from pipeline.faces.graph import Model
from pipeline.faces.shared import SharedNetwork, network_on

BUCKETS = (8, 16, 32, 64)
"""Of a GPU."""
_APART = 16
"""Samples of a picture between those by which it is known again."""


@contextmanager
def in_batches_of_a_gpu() -> Iterator[None]:
    """As many frames travel together as on a GPU, and no operator has helpers on the host."""
    with (
        patch.object(batch_sizes, "BATCH", batch_sizes.GPU_BATCH),
        patch.object(avatar, "_CHUNK", avatar._GPU_CHUNK),
        patch.object(neural_painter, "buckets_on", lambda _: BUCKETS),
        patch.object(registry, "operator_threads", lambda *_: 1),
    ):
        yield


@contextmanager
def without_networks(width: int) -> Iterator[None]:
    """Pictures, latents and whisper's states come from nowhere and cost nothing.

    Args:
        width: of a token.
    """
    made = torch.full((BUCKETS[-1], 3, SIDE, SIDE), 128, dtype=torch.uint8)
    states = torch.zeros(1500, STATES, width)

    def encode(_: object, seen: Tensor) -> Tensor:
        made[: len(seen)] = seen  # painted faces shall be as hard to encode as the reference's
        return torch.zeros(len(seen), *painter.LATENT)

    with (
        patch.object(painter, "paint", lambda _, latents, tokens: latents[:, :4]),
        patch.object(painter, "decode", lambda _, latents: made[: len(latents)]),
        patch.object(painter, "encode", encode),
        patch.object(hearing, "encoder_states", lambda _, __: states),
    ):
        yield


@contextmanager
def musetalk(networks: Networks) -> Iterator[None]:
    """Jobs of `musetalk` get an engine whose networks are stand-ins."""
    with (
        in_batches_of_a_gpu(),
        without_networks(int(networks.unet.config.cross_attention_dim)),
        patch.object(registry, "create", return_value=MuseTalkEngine(networks, "cpu", False, [])),
    ):
        yield


@contextmanager
def wav2lip(network: Wav2Lip) -> Iterator[None]:
    """Jobs of `wav2lip` get an engine whose network is a stand-in; it paints what it sees."""
    with (
        in_batches_of_a_gpu(),
        patch.object(wav2lip_painter, "_painting", lambda _: lambda pictures, _: pictures),
    ):
        engine = Wav2LipEngine(network, "cpu", [])
        with patch.object(registry, "create", return_value=engine):
            yield


class _Remembering:
    """A face network that runs once for each picture and is only asked for it later."""

    def __init__(self, model: Model) -> None:
        self._network = network_on(model, "cpu")
        self._names = list(model.graph.outputs)
        self._known: dict[bytes, list[Tensor]] = {}
        self.device = "cpu"
        self.size = self._network.size

    def __call__(self, pictures: Tensor) -> dict[str, Tensor]:
        keys = [part.tobytes() for part in pictures[:, 0, ::_APART, ::_APART].numpy()]
        new = [n for n, key in enumerate(keys) if key not in self._known]
        if new:
            made = self._network(pictures[new])
            for place, n in enumerate(new):
                self._known[keys[n]] = [made[name][place] for name in self._names]
        rows = zip(*(self._known[key] for key in keys), strict=True)
        return dict(zip(self._names, map(torch.stack, rows), strict=True))


def _remembering(model: Model, device: str, threads: int = 1) -> SharedNetwork:
    del device, threads
    shared = SharedNetwork(model, "cpu")
    shared._network = _Remembering(model)  # type: ignore[assignment]
    return shared


@contextmanager
def remembered_faces() -> Iterator[None]:
    """The face networks go as on a GPU, shared by all jobs, and know what they have seen before."""
    loaded.of_root.forget()
    with (
        patch.object(detector, "network_on", _remembering),
        patch.object(mesh, "network_on", _remembering),
    ):
        yield
    loaded.of_root.forget()
