"""What a mouth looks like in three numbers, free of pose: aperture, width, jaw (all in io)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.engines.viseme.batch import Batch
from pipeline.engines.viseme.points import CHIN, PLACE
from pipeline.faces.topology import LIP_GAPS

_UPPER = [PLACE[a] for a, _ in LIP_GAPS]
_LOWER = [PLACE[b] for _, b in LIP_GAPS]
LEFT, RIGHT = PLACE[61], PLACE[291]


@dataclass(frozen=True, slots=True)
class Mouths(Batch):
    """A batch of mouths, each field (B,)."""

    aperture: Tensor
    """Mean of five inner-lip gaps."""
    width: Tensor
    """Corner to corner."""
    jaw: Tensor
    """Chin below the base of the nose."""


def measure(shape: Tensor) -> Mouths:
    """Aperture, width and jaw of shapes (B, K, 3) in io.

    A gap counts downwards: lips that the mesh crosses by a hair's breadth are closed.
    """
    gaps = (shape[:, _LOWER, :2] - shape[:, _UPPER, :2]).norm(dim=-1)
    crossed = shape[:, _LOWER, 1] < shape[:, _UPPER, 1]
    aperture = torch.where(crossed, torch.zeros_like(gaps), gaps).mean(1)
    width = (shape[:, RIGHT] - shape[:, LEFT]).norm(dim=-1)
    return Mouths(aperture, width, shape[:, PLACE[CHIN], 1])
