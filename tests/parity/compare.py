"""Distances between what we compute and what the originals computed, kept for the summary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Line:
    """One comparison, for the summary at the end of the run."""

    name: str
    reached: str
    limit: str


LINES: list[Line] = []


def rel_l2(got: Tensor | Array, want: Array) -> float:
    """|got - want| / |want| over the whole array."""
    left, right = np.asarray(got, dtype=np.float64), np.asarray(want, dtype=np.float64)
    assert left.shape == right.shape, f"shape {left.shape}, not {right.shape}"
    return float(np.linalg.norm(left - right)) / max(float(np.linalg.norm(right)), 1e-30)


def thinned(tap: Tensor, shape: tuple[int, ...], channels: int) -> Tensor:
    """A module's output cut down as the vectors hold it.

    Args:
        tap: (B, C, H, W) or (B, C).
        shape: of the stored array; what is complete there stays complete.
        channels: about how many channels are kept of many.
    """
    thin = tap if tap.shape[1] == shape[1] else tap[:, :: max(1, tap.shape[1] // channels)]
    return thin if tuple(thin.shape[2:]) == shape[2:] else thin[..., ::4, ::4]


def close(name: str, got: Tensor | Array, want: Array, limit: float) -> None:
    """Fail when the relative distance exceeds the limit, or anything is not a number."""
    distance = rel_l2(got, want)
    LINES.append(Line(name, f"{distance:.1e}", f"{limit:.0e}"))
    assert distance <= limit, f"{name}: relL2 {distance:.2e} exceeds {limit:.0e}"


def within(name: str, got: Tensor | Array, want: Array, limit: float) -> None:
    """Fail when any value is further away than the limit."""
    worst = float(np.max(np.abs(np.asarray(got, np.float64) - np.asarray(want, np.float64))))
    LINES.append(Line(name, f"max {worst:.1e}", f"max {limit:.0e}"))
    assert worst <= limit, f"{name}: largest difference {worst:.2e} exceeds {limit:.0e}"


def equal(name: str, got: Tensor | Array, want: Array, apart: int = 0, share: float = 0.0) -> None:
    """Fail when whole numbers differ.

    Args:
        apart: how far single values may lie apart.
        share: share of the values that may differ at all.
    """
    left, right = np.asarray(got), np.asarray(want)
    assert left.shape == right.shape, f"{name}: shape {left.shape}, not {right.shape}"
    distance = np.abs(left.astype(np.int64) - right.astype(np.int64))
    worst = int(distance.max(initial=0))
    part = float((distance > 0).mean()) if distance.size else 0.0
    reached = "equal" if worst == 0 else f"±{worst} in {part:.3%}"
    LINES.append(Line(name, reached, "equal" if apart == 0 else f"±{apart} in {share:.1%}"))
    assert worst <= apart, f"{name}: values up to {worst} apart in {part:.3%}, allowed {apart}"
    assert part <= share or apart == 0, f"{name}: {part:.3%} differ, allowed {share:.1%}"
