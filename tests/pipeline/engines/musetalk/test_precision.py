"""A device that computes wrongly in half precision gets networks of single precision."""

from __future__ import annotations

import copy
import logging

import pytest
import torch

from pipeline.engines.musetalk.networks import Networks
from pipeline.engines.musetalk.precision import makes_numbers, sound
from tests.pipeline.engines.musetalk.tiny import tiny_networks


def loaded(dtype: torch.dtype, *, beyond_half: str = "") -> Networks:
    """Networks on the CPU; the weights of one may be larger than half precision takes."""
    networks = copy.deepcopy(tiny_networks())
    for name in {"unet", "vae"}:
        network = getattr(networks, name)
        for key, value in network.state_dict().items() if name == beyond_half else ():
            value.mul_(1e7 if "conv_in" in key else 1)  # a normalisation follows
        network.to(dtype)
    return networks


def test_half_precision_stays_where_it_makes_numbers(caplog: pytest.LogCaptureFixture) -> None:
    assert sound(loaded).unet.dtype == torch.float16
    assert "single precision" not in caplog.text


@pytest.mark.parametrize("which", ["unet", "vae"])
def test_a_network_that_overflows_in_half_precision_runs_in_single_and_the_log_says_so(
    which: str, caplog: pytest.LogCaptureFixture
) -> None:
    def load(dtype: torch.dtype) -> Networks:
        return loaded(dtype, beyond_half=which)

    with caplog.at_level(logging.WARNING):
        found = sound(load)
    assert (found.unet.dtype, found.vae.dtype) == (torch.float32, torch.float32)
    assert makes_numbers(found)
    assert "single precision" in caplog.text
