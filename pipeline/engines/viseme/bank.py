"""Frames of the reference that lend their mouths: bounded in number and in bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own abbreviation
from torch import Tensor

from pipeline.batching.cuda import on_host
from pipeline.engines.viseme.canvas import Canvas
from pipeline.engines.viseme.expression import level
from pipeline.engines.viseme.features import LEFT, RIGHT, Mouths, measure
from pipeline.engines.viseme.heads import Heads
from pipeline.engines.viseme.lipline import LipLine
from pipeline.engines.viseme.patch import Patch, cut, read
from pipeline.engines.viseme.select import Candidates
from pipeline.engines.windows import brought
from pipeline.types import Frame, OnTick, Tick

MOST = 700
"""Frames in a bank."""
MOST_BYTES = 96 * 1024**2
"""Bytes of their pieces."""
PAD = 16
"""Pixels that a piece is larger than the region, on each side."""
LOOK = 32
"""Side of the aligned mouth by which joins are judged."""
LOOK_WIDTH, LOOK_HEIGHT = 0.9, 0.6
"""What it shows, io."""
LOOK_SIGMA = (0.20, 0.12)
"""Half width and height of what the eye is drawn to: teeth and the lips around them, io."""
_AT_ONCE = 32
"""Mouths that travel to the device and are looked at together."""
BLUR_WEIGHT = 12.0
"""Penalty of a frame without any detail, against the clip's usual detail."""


@dataclass(frozen=True, slots=True)
class Lenders:
    """C frames whose mouths are to be lent."""

    frame: Tensor
    """(C,) int64 grid indices, ascending."""
    heads: Heads
    pose: Tensor
    """(C, 3) degrees."""
    run: Tensor
    """(C,) shot numbers."""
    complexion: Tensor
    """(C, D)."""


@dataclass(frozen=True, slots=True)
class Bank:
    """C frames, ascending."""

    units: Candidates
    heads: Heads
    mouths: Mouths
    pieces: Patch
    """(C) uint8 planes, on the canvas's device."""
    points: Tensor
    """(C, K, 2) mesh points in the pieces, on the host."""
    lines: LipLine
    """Of the pieces, where they are."""
    levelled: Tensor
    """(C, K, 3) io, shapes with one opening (`pipeline.engines.viseme.expression`)."""

    def __len__(self) -> int:
        return len(self.units.frame)


def limit(canvas: Canvas) -> int:
    """How many frames a bank may have."""
    size = (canvas.width + 2 * PAD) * (canvas.height + 2 * PAD) * 3 // 2
    return max(8, min(MOST, MOST_BYTES // size))


def thin(frames: Tensor, most: int, run: int = 48) -> Tensor:
    """At most `most` of (N,) ascending frames, in runs of neighbours spread over all of them."""
    if len(frames) <= most:
        return frames
    run = min(run, most)
    count = max(1, most // run)
    starts = torch.linspace(0, len(frames) - run, count).long()
    chosen = torch.unique((starts.unsqueeze(1) + torch.arange(run)).flatten())
    return frames[chosen]


def fill(
    canvas: Canvas,
    lenders: Lenders,
    read: Callable[[Iterable[int]], Iterator[Frame]],
    on_tick: OnTick,
) -> Bank:
    """Read the lending frames once and keep their mouths."""
    heads = lenders.heads
    points = heads.project(heads.shape)
    corner = canvas.origin((points[:, LEFT] + points[:, RIGHT]) / 2) - PAD
    pieces = _pieces(canvas, corner, read(lenders.frame.tolist()), on_tick)
    inside = points - corner[:, None]
    there = brought(inside, pieces.luma.device)
    look, detail = _looks(pieces, there, heads.scale)
    usual = detail.median().clamp_min(1e-3)
    blur = (1 - detail / usual).clamp_min(0) * BLUR_WEIGHT
    mouths = measure(heads.shape)
    units = Candidates(
        lenders.frame,
        lenders.run,
        mouths.aperture,
        mouths.width,
        lenders.pose,
        lenders.complexion,
        blur.square(),
        look,
    )
    return Bank(units, heads, mouths, pieces, inside, LipLine.of(there), level(heads.shape))


def _pieces(canvas: Canvas, corner: Tensor, frames: Iterator[Frame], on_tick: OnTick) -> Patch:
    """What lies around each mouth, by the (C, 2) upper left corners of the pieces."""
    width, height = canvas.width + 2 * PAD, canvas.height + 2 * PAD
    count, device = len(corner), canvas.device
    luma = torch.empty(count, 1, height, width, dtype=torch.uint8, device=device)
    chroma = torch.empty(count, 2, height // 2, width // 2, dtype=torch.uint8, device=device)
    placed = zip(frames, corner.tolist(), strict=False)  # the frames may end before
    start = 0
    while some := [cut(frame, x, y, width, height) for frame, (x, y) in islice(placed, _AT_ONCE)]:
        whole, stop = Patch.join(some).to(device), start + len(some)
        luma[start:stop], chroma[start:stop] = whole.luma, whole.chroma
        on_tick(Tick("prepare", stop, count))
        start = stop
    return Patch(luma, chroma)


def _looks(pieces: Patch, points: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """(C, LOOK²) aligned mouths, most of their middle, and (C,) how much detail each has.

    Args:
        pieces: of the mouths.
        points: (C, K, 2) in the pieces, beside them.
        scale: (C,) pixels per io, on the host.

    Returns:
        On the host, where units are chosen.
    """
    looks, details = [], []
    ys = torch.linspace(-0.5, 0.5, LOOK) * LOOK_HEIGHT
    xs = torch.linspace(-0.5, 0.5, LOOK) * LOOK_WIDTH
    near = (xs / LOOK_SIGMA[0]).square() + (ys[:, None] / LOOK_SIGMA[1]).square()
    share = torch.exp(-near / 4)  # differences are squared
    share = brought(share / share.square().mean().sqrt(), points.device)
    for start in range(0, len(scale), _AT_ONCE):
        rows = slice(start, start + _AT_ONCE)
        line = LipLine.of(points[rows])
        size = scale[rows].reshape(-1, 1, 1)
        along = brought(xs.expand(LOOK, LOOK) * size, points.device)
        off = brought(ys.unsqueeze(1).expand(LOOK, LOOK) * size, points.device)
        luma = pieces.luma[rows].float()
        mouth = read(luma, pieces.luma_places(line.points(along, off))) / 255
        looks.append((F.avg_pool2d(mouth, 3, 1, 1) * share).flatten(1))
        around = (luma[..., 1:-1, 1:-1] * 4 - luma[..., :-2, 1:-1] - luma[..., 2:, 1:-1]).sub(
            luma[..., 1:-1, :-2] + luma[..., 1:-1, 2:]
        )
        details.append(around.abs().mean((1, 2, 3)))
    return on_host(torch.cat(looks)), on_host(torch.cat(details))
