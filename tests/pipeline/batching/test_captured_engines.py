"""The engines' networks can be captured; CUDA is on paper."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import pytest
import torch
from torch import Tensor

from pipeline.batching import placed
from pipeline.batching.captured import Captured
from pipeline.batching.runner import Column, Direct
from pipeline.batching.shared import Shared
from pipeline.engines.musetalk.painter import Painter
from pipeline.engines.wav2lip.network import VARIANTS, Wav2Lip
from pipeline.engines.wav2lip.painter import Painter as Wav2LipPainter
from tests.parity.rule import weights_for
from tests.pipeline.batching.summing import values
from tests.pipeline.engines.musetalk.tiny import tiny_networks

pytestmark = pytest.mark.usefixtures("paper")

Kind = TypeVar("Kind")


def _musetalk() -> Painter:
    return Painter(tiny_networks(), "cpu", buckets=(2, 4), compiled=False)


def _wav2lip() -> Wav2LipPainter:
    network = Wav2Lip(VARIANTS[96], width=1 / 8)
    network.load_state_dict(weights_for(network, "tiny"))
    return Wav2LipPainter(
        network.eval().requires_grad_(False), "cpu", buckets=(2, 4), compiled=False
    )


@pytest.mark.parametrize(
    "make",
    [_musetalk, _wav2lip],
    ids=["musetalk", "wav2lip"],
)
def test_the_engines_networks_can_be_captured_and_make_the_same_pictures(
    make: Callable[[], Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    direct = make()
    monkeypatch.setattr(placed, "is_cuda", lambda device: True)
    graphs = make()
    pairs = zip(_runners(graphs, Captured), _runners(direct, Direct), strict=True)
    for runner, other in pairs:
        for seed, count in enumerate((min(3, runner._sizes.largest), 1)):
            columns = [_column(column, count, seed) for column in runner._columns]
            found, want = values(runner(columns)), values(other(columns))
            assert (found.float() - want.float()).abs().max() <= 1e-4 * want.float().abs().max() + 1
    assert caplog.messages == [], "one that cannot be captured says so and goes on"


def _runners(painter: object, kind: type[Kind]) -> list[Kind]:
    found = [each._runner for each in vars(painter).values() if isinstance(each, Shared)]
    assert found
    assert all(isinstance(runner, kind) for runner in found)
    return cast("list[Kind]", found)


def _column(column: Column, count: int, seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.rand(count, *column.shape, generator=generator)
    scale = 255 if column.dtype == torch.uint8 else 1
    return list((drawn * scale).to(column.dtype))
