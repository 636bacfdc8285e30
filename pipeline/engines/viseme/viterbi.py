"""The cheapest way through frames of a reference that does not turn round without need.

A mouth that runs to and fro between two neighbouring frames trembles, and a search that knows only
pairs of frames runs to and fro a lot, as it may always take the better one of the two. So a state
is a frame and the way in which the reference is run through. Only neighbours have ways, so that the
search over all pairs is done once, not for each way.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

TURN = 2.0
"""For running on the other way round through the reference: a mouth that goes to and fro between
two neighbours trembles, where one that stays does not."""
REACH = 2
"""Steps from which on a change of lender is a jump, less one."""


def neighbours(frame: Tensor, run: Tensor) -> dict[int, Tensor]:
    """For each step of at most REACH, (C,) the row from which it leads to each row, or -1."""
    count = len(frame)
    rows = torch.arange(count, device=frame.device)
    found = {}
    for step in range(-REACH, REACH + 1):
        came = torch.full_like(rows, -1)
        for apart in range(abs(step) + 1):  # ascending rows: frames between may be missing
            there = rows - apart * (1 if step > 0 else -1)
            known = there.clamp(0, count - 1)
            right = (there == known) & (frame - frame[known] == step)
            right &= run == run[known]
            came = torch.where(right, known, came)
        found[step] = came
    return found


@dataclass(frozen=True, slots=True)
class Moves:
    """How one state leads to another.

    A state is a row, and the way in which the reference was last run through, 0 forwards and 1
    backwards; its number is way * C + row.
    """

    jump: Tensor
    """(C, C) cost to a row (first) from one that is no neighbour; infinite from neighbours."""
    state: Tensor
    """(2, M, C) states from which neighbours lead to each state."""
    price: Tensor
    """(2, M, C) what that costs; infinite where it is none."""


def moves_of(frame: Tensor, run: Tensor, join: Tensor) -> Moves:
    """All moves between rows.

    Args:
        frame: (C,) int64 grid index of each row, ascending.
        run: (C,) its shot.
        join: (C, C) cost of going from one row to another, turning apart.
    """
    count = len(join)
    rows = torch.arange(count, device=join.device)
    jump, states, prices = join.clone(), [], []
    for step, came in neighbours(frame, run).items():
        known = came >= 0
        jump[came[known], rows[known]] = torch.inf
        price = torch.where(known, join[came.clamp_min(0), rows], torch.inf)
        for last in (0, 1):
            states.append(came.clamp_min(0) + last * count)
            prices.append([_turned(price, step, last, way) for way in (0, 1)])
    state = torch.stack(states).expand(2, -1, -1)
    price = torch.stack([torch.stack(list(each)) for each in zip(*prices, strict=True)])
    return Moves(jump.T.contiguous(), state.contiguous(), price)


def _turned(price: Tensor, step: int, last: int, way: int) -> Tensor:
    """The price of a step that ends in a way and began in the last one."""
    if step == 0:
        return price if way == last else torch.full_like(price, torch.inf)
    if (step < 0) != (way == 1):
        return torch.full_like(price, torch.inf)
    return price + TURN * (way != last)


def cheapest(cost: Tensor, moves: Moves, before: int | None) -> Tensor:
    """The cheapest states (F,) by Viterbi, at (F, C) costs, from the state `before` on, if any."""
    total, count = cost.shape
    came = torch.zeros(total, 2, count, dtype=torch.int64, device=cost.device)
    best = cost[:1].expand(2, -1).contiguous()
    if before is not None:
        best = torch.full_like(best, torch.inf)
        best.view(-1)[before] = 0
    for n in range(0 if before is not None else 1, total):
        either, way = best.min(0)
        far, row = (moves.jump + either).min(1)
        near, pick = (best.view(-1)[moves.state] + moves.price).min(1)
        near_state = moves.state.gather(1, pick.unsqueeze(1)).squeeze(1)
        came[n] = torch.where(near <= far, near_state, row + way[row] * count)
        best = near.minimum(far) + cost[n]
    return _back(int(best.view(-1).argmin()), came.cpu())


def _back(state: int, came: Tensor) -> Tensor:
    """(F,) states, from the last one."""
    total = len(came)
    path = torch.empty(total, dtype=torch.int64)
    for n in range(total - 1, -1, -1):
        path[n] = state
        state = int(came[n].view(-1)[state])
    return path
