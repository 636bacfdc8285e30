"""Unit selection: which frame of the reference lends its mouth to each output frame.

Viterbi over target and join costs (Hunt, Black: "Unit selection in a concatenative speech synthesis
system using a large speech database", ICASSP 1996), in overlapping blocks so that time and memory
are linear in the length of the speech.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.engines.viseme.batch import Batch
from pipeline.engines.viseme.viterbi import cheapest, moves_of

APERTURE_SCALE, APERTURE_MOST = 0.022, 14.0
WIDTH_SCALE, WIDTH_MOST, WIDTH_WEIGHT = 0.030, 9.0, 0.6
POSE_SCALE, POSE_MOST = (9.0, 8.0, 10.0), 4.0
SHUT, OPEN = 0.012, 0.030
SHUT_PENALTY = 6.0
"""For a wanted closure (below SHUT) from a mouth that is open (above OPEN)."""
AJAR, LITTLE, LITTLE_PENALTY = 0.02, 0.5, 2.0
"""For an opening wanted (above AJAR) from a mouth less than LITTLE as open: what it does not show
of its inside has to be painted."""
NEXT, BACK, STAY, SKIP, BACK_TWO = 0.0, 0.05, 0.35, 0.2, 0.25
JUMP, JUMP_LOOK, JUMP_APERTURE = 3.0, 24.0, 0.1
"""A jump is dear: a lent mouth is warped to its aperture anyway, but other teeth flicker."""
ALIKE = (15.0, 3.0, 7.5, 15.0, 4.5, 4.5)
"""Differences of complexion, of 255, up to which a mouth is lent as if from the frame itself. Over
four seconds of one shot and one light they stay below three quarters of it on sixteen people."""
STRANGER, STRANGER_MOST = 40.0, 60.0
"""For lips of another person, or in another light: for each `ALIKE` beyond it, and at most."""
BLOCK, OVERLAP = 512, 64


@dataclass(frozen=True, slots=True)
class Candidates:
    """What selection knows of C frames of the reference."""

    frame: Tensor
    """(C,) int64 grid index, ascending."""
    run: Tensor
    """(C,) int64 number of the shot."""
    aperture: Tensor
    """(C,) io."""
    width: Tensor
    """(C,) io."""
    pose: Tensor
    """(C, 3) yaw, pitch, roll in degrees."""
    complexion: Tensor
    """(C, D), see `pipeline.faces.appearance`."""
    penalty: Tensor
    """(C,) for blur and the like."""
    look: Tensor
    """(C, D) the aligned mouth, 0 to 1, by how much is seen of each place."""


@dataclass(frozen=True, slots=True)
class Wanted(Batch):
    """What F output frames ask for."""

    aperture: Tensor
    """(F,) io."""
    width: Tensor
    pose: Tensor
    """(F, 3) of the frame under the output, degrees."""
    complexion: Tensor
    """(F, D) of the frame under the output."""
    weight: Tensor
    """(F,) 1 where a mouth is painted, 0 where none is."""


def joins(units: Candidates) -> Tensor:
    """(C, C) cost of going from one candidate (row) to another (column)."""
    square = units.look.square().mean(1)
    cross = units.look @ units.look.T / units.look.shape[1]
    rms = (square[:, None] + square[None] - 2 * cross).clamp_min(0).sqrt()
    apart = (units.aperture[:, None] - units.aperture[None]).abs()
    cost = JUMP + JUMP_LOOK * rms + apart / JUMP_APERTURE
    step = units.frame[None] - units.frame[:, None]
    same = units.run[None] == units.run[:, None]
    for distance, near in ((0, STAY), (1, NEXT), (-1, BACK), (2, SKIP), (-2, BACK_TWO)):
        cost = torch.where(same & (step == distance), torch.full_like(cost, near), cost)
    return cost


def fitness(units: Candidates, wanted: Wanted) -> Tensor:
    """(F, C) how badly each candidate suits each output frame."""
    a, w = wanted.aperture[:, None], wanted.width[:, None]
    cost = ((units.aperture - a) / APERTURE_SCALE).square().clamp(max=APERTURE_MOST)
    spread = ((units.width - w) / WIDTH_SCALE).square().clamp(max=WIDTH_MOST)
    cost = cost + WIDTH_WEIGHT * spread
    scale = units.pose.new_tensor(POSE_SCALE)
    turn = ((wanted.pose[:, None] - units.pose) / scale).abs().clamp(max=POSE_MOST)
    cost = cost + turn.square().sum(2) + units.penalty
    cost = cost + SHUT_PENALTY * ((a < SHUT) & (units.aperture > OPEN))
    cost = cost + _strangeness(units.complexion, wanted.complexion)
    cost = cost + LITTLE_PENALTY * ((a > AJAR) & (units.aperture < LITTLE * a))
    return cost * wanted.weight[:, None]


def _strangeness(lent: Tensor, seen: Tensor) -> Tensor:
    """(F, C) for lips and skin (C, D) that are strange to faces (F, D)."""
    alike = seen.new_tensor(ALIKE)
    apart = torch.cdist(seen / alike, lent / alike, p=math.inf)
    return (STRANGER * (apart - 1)).clamp(0, STRANGER_MOST)


def select(units: Candidates, wanted: Wanted, join: Tensor) -> Tensor:
    """The cheapest sequence of candidates, (F,) int64 rows of `units`.

    Blocks are solved with a stretch of the next one attached, and begin where the last one ended.
    """
    total = len(wanted.aperture)
    path = torch.empty(total, dtype=torch.int64)
    moves = moves_of(units.frame, units.run, join)
    before: int | None = None
    for start in range(0, total, BLOCK):
        stop = min(start + BLOCK, total)
        reach = slice(start, min(stop + OVERLAP, total))
        found = cheapest(fitness(units, wanted[reach]), moves, before)
        path[start:stop] = found[: stop - start]
        before = int(path[stop - 1])
    return path % len(join)
