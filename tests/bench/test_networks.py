"""Networks of random weights make pictures: a row fails by those that are no numbers."""

from __future__ import annotations

import torch

from pipeline.engines.wav2lip.mel import BANDS, WINDOW
from tests.bench.networks import random_wav2lip


def test_random_weights_of_wav2lip_make_numbers() -> None:
    network = random_wav2lip("cpu", True)
    seen, heard = torch.rand(1, 6, network.side, network.side), torch.randn(1, 1, BANDS, WINDOW)
    with torch.inference_mode():
        assert bool(network(heard, seen).isfinite().all())
