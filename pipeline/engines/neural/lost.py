"""Pictures that a network made without numbers (NaN): found, and never shown.

Half precision ends at 65504, and some GPUs compute wrongly in it. What comes of that is no number,
spreads over the whole picture at the next normalisation, and as 8-bit samples would be a black
mouth. Such a picture becomes black in all of its samples. No other one is: where a film fades to
black, a painted face may well be, and its first sample, which no mask shows, is 1 then.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.errors import EngineFailed
from schemas.codes import Stage


def bytes_of(pictures: Tensor) -> Tensor:
    """(..., 3, S, S) floats from 0 to 255 as bytes; pictures with one that is no number are 0."""
    lost = pictures.isnan().flatten(-3).any(-1)
    made = torch.where(lost[..., None, None, None], 0, pictures).to(torch.uint8)
    first = made[..., 0, 0, 0]
    first.copy_(torch.where(lost, 0, first.clamp_min(1)))
    return made


def brightest(pictures: Tensor) -> Tensor:
    """(B,) uint8 of (B, 3, S, S), for `refuse_lost`."""
    return pictures.flatten(1).amax(1)


def refuse_lost(found: Tensor) -> None:
    """Look whether some pictures are lost, by what `brightest` found, on the host.

    Raises:
        EngineFailed: some are.
    """
    _refuse(found == 0)


def refuse_infinite(made: Tensor) -> None:
    """Look whether all of what a network made, (B, …) floats on the host, are numbers.

    Raises:
        EngineFailed: some are none.
    """
    _refuse(~made.isfinite().flatten(1).all(1))


def _refuse(lost: Tensor) -> None:
    if not bool(lost.any()):
        return
    count = int(lost.sum())
    raise EngineFailed(
        f"the network made no numbers (NaN) for {count} of {len(lost)} faces: its weights are"
        " damaged (`face2face weights verify`), or this device cannot compute them",
        stage=Stage.GENERATE,
        lost=count,
    )
