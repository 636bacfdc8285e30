"""Ridge regression whose strength is chosen by cross-validation in blocks of time."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

PENALTIES = (0.003, 0.01, 0.03, 0.1, 0.3)
"""On the squared weights, as shares of the mean square of the whole input. Smaller ones are left
out: where little was said, held-out fifths choose them by luck."""
FIFTHS, HALVES = 5, 2
_GAP_S = 0.20
"""Left out on both sides of a held-out block: neighbouring frames know each other."""


@dataclass(frozen=True, slots=True)
class Ridge:
    """A linear map with an offset."""

    mean: Tensor
    """(D,) float64."""
    weights: Tensor
    """(D, K)."""
    offset: Tensor
    """(K,)."""

    def __call__(self, x: Tensor) -> Tensor:
        """(F, D) to (F, K)."""
        return (x - self.mean) @ self.weights + self.offset

    def of_unscaled(self, scale: Tensor) -> Ridge:
        """The same map for inputs that were not yet divided by `scale`, (D,)."""
        return Ridge(self.mean * scale, self.weights / scale[:, None], self.offset)


@dataclass(frozen=True, slots=True)
class Choice:
    """The penalty of each output, and what cross-validation with it predicted."""

    penalties: Tensor
    """(K,)."""
    guess: Tensor
    """(N, K) predictions for each row by a fit that did not see its part of the time."""


def solve(x: Tensor, y: Tensor, penalties: Tensor) -> Ridge:
    """Least squares with a penalty on the squared weights of each output.

    Args:
        x: (N, D) float64.
        y: (N, K) float64.
        penalties: (K,) above 0.
    """
    mean, offset = x.mean(0), y.mean(0)
    basis, spread, target = _decompose(x - mean, y - offset)
    shrunk = target / (spread[:, None] + penalties * spread.sum())
    return Ridge(mean, basis @ shrunk, offset)


def choose(x: Tensor, y: Tensor, times: Tensor, parts: int = FIFTHS) -> Choice:
    """The best penalty of each output by held-out parts of the time.

    Args:
        x: (N, D) float64.
        y: (N, K) float64.
        times: (N,) seconds, ascending.
        parts: how many, each held out once; N at least as many.
    """
    penalties = torch.tensor(PENALTIES, dtype=x.dtype)
    guesses = torch.empty(len(penalties), *y.shape, dtype=y.dtype)
    for first, last in folds(len(x), parts):
        begin, end = times[first] - _GAP_S, times[last - 1] + _GAP_S
        seen = (times < begin) | (times > end)
        guesses[:, first:last] = _all(x[seen], y[seen], x[first:last], penalties)
    best = (guesses - y).square().sum(1).argmin(0)
    outputs = torch.arange(y.shape[1])
    return Choice(penalties[best], guesses[best, :, outputs].T)


def _all(x: Tensor, y: Tensor, unseen: Tensor, penalties: Tensor) -> Tensor:
    """Predictions for unseen rows with every penalty, (P, F, K)."""
    mean, offset = x.mean(0), y.mean(0)
    basis, spread, target = _decompose(x - mean, y - offset)
    place = (unseen - mean) @ basis
    shrunk = target / (spread[:, None] + penalties[:, None, None] * spread.sum())
    return place @ shrunk + offset


def _decompose(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Directions of the input (D, R), its power along them (R,), and the target there (R, K).

    Of few rows with many columns the small Gram matrix is taken: both give the same fit.
    """
    if x.shape[0] < x.shape[1]:
        power, rows = torch.linalg.eigh(x @ x.T)
        power = power.clamp(min=0)
        basis = x.T @ rows / power.clamp(min=1e-12).sqrt()
        return basis, power, (rows.T @ y) * power.sqrt()[:, None]
    power, basis = torch.linalg.eigh(x.T @ x)
    return basis, power.clamp(min=0), basis.T @ (x.T @ y)


def correlation(a: Tensor, b: Tensor) -> Tensor:
    """Pearson's r along the first axis of (N, ...) values; 0 where one side does not vary."""
    da, db = a - a.mean(0), b - b.mean(0)
    scale = da.square().sum(0).sqrt() * db.square().sum(0).sqrt()
    return torch.where(scale > 1e-12, (da * db).sum(0) / scale.clamp(min=1e-12), 0.0)


def agreement(guess: Tensor, y: Tensor, parts: int = FIFTHS) -> Tensor:
    """Correlation inside the parts of the time, (K,).

    A level that a whole part has in common is left out: a held-out fit cannot know it, and its
    own offset leans the other way.
    """
    inside = [
        [side[a:b] - side[a:b].mean(0) for a, b in folds(len(y), parts)] for side in (guess, y)
    ]
    return correlation(torch.cat(inside[0]), torch.cat(inside[1]))


def folds(count: int, parts: int) -> list[tuple[int, int]]:
    """Half-open row ranges of the parts."""
    edges: list[int] = torch.linspace(0, count, parts + 1).round().long().tolist()
    return list(pairwise(edges))
