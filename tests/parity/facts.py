"""Shape, first values, mean and size of tensors, as `weights_*.json` holds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from torch import Tensor


@dataclass(frozen=True, slots=True)
class TensorFacts:
    """What identifies one tensor."""

    shape: list[int]
    head: list[float]
    mean: float
    rms: float


def facts_of(weights: Mapping[str, Tensor]) -> dict[str, TensorFacts]:
    """Facts of every floating-point tensor."""
    return {
        key: TensorFacts(
            shape=list(value.shape),
            head=value.flatten()[:3].tolist(),
            mean=value.double().mean().item() if value.numel() < 1 << 20 else value.mean().item(),
            rms=(value.square().mean().sqrt()).item(),
        )
        for key, value in weights.items()
        if value.is_floating_point()
    }


def check_facts(got: Mapping[str, TensorFacts], want: Mapping[str, Any]) -> None:
    """Fail at the first tensor that is missing, unknown or different."""
    assert sorted(got) == sorted(want)
    for key, facts in want.items():
        ours = got[key]
        assert ours.shape == facts["shape"], key
        assert ours.head == pytest.approx(facts["head"], abs=1e-6, rel=1e-5), key
        assert ours.mean == pytest.approx(facts["mean"], abs=1e-6, rel=1e-3), key
        assert ours.rms == pytest.approx(facts["rms"], rel=1e-4), key
