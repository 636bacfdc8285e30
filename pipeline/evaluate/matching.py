"""Which frame of the reference lies under which frame of the output, told from the pictures."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own abbreviation
from torch import Tensor

from pipeline.quality.watch import Watched
from pipeline.timeline import Timeline
from pipeline.types import Frame
from schemas.request import Loop

_PROBES = 6
_WIDE = 96
"""Pixels of the thumbnails that are compared."""
_ALIKE = 12.0
"""Mean difference of thumbnails, grey levels, above which two pictures are not the same."""


def match(output: Watched, reference: Watched | None) -> tuple[Timeline | None, str]:
    """The timeline that joins an output to its reference, or the reason why there is none.

    Beyond the reference's end the way of going on (ping-pong, repeat, hold) is the one whose
    pictures are most alike.
    """
    if reference is None:
        return None, "needs --reference"
    ours, theirs = output.video, reference.video
    if (ours.width, ours.height) != (theirs.width, theirs.height):
        return None, (
            f"the output has {ours.width}x{ours.height} pixels and the reference"
            f" {theirs.width}x{theirs.height}"
        )
    lines = [
        Timeline(ours.fps, ours.frames, theirs.fps, theirs.frames, loop)
        for loop in (Loop.PINGPONG, Loop.REPEAT, Loop.HOLD)
    ]
    at = _probes(lines[0])
    shown = _thumbnails(output, at)
    found = _thumbnails(reference, sorted({line.source(n) for line in lines for n in at}))
    apart = [_apart(shown, found, line) for line in lines]
    best = min(range(len(lines)), key=apart.__getitem__)
    if apart[best] > _ALIKE:
        return None, (
            f"the output's pictures are not those of the reference (they differ by"
            f" {apart[best]:.0f} grey levels)"
        )
    return lines[best], ""


def _probes(line: Timeline) -> list[int]:
    """Output frames to compare: over the whole, and densely where ways of looping part."""
    spread = torch.linspace(0, line.frames - 1, _PROBES).long().tolist()
    if line.used < line.source_frames or line.frames <= line.used:
        return sorted(set(spread))
    beyond = torch.linspace(line.used, line.frames - 1, _PROBES).long().tolist()
    return sorted({*spread, *beyond})


def _apart(shown: dict[int, Tensor], found: dict[int, Tensor], line: Timeline) -> float:
    apart = [float((seen - found[line.source(n)]).abs().mean()) for n, seen in shown.items()]
    return sum(apart) / len(apart)


def _thumbnails(watched: Watched, frames: list[int]) -> dict[int, Tensor]:
    return {frame.index: thumbnail(frame) for frame in watched.reader.read(frames)}


def thumbnail(frame: Frame, wide: int = _WIDE) -> Tensor:
    """(h, w) float luma, `wide` pixels across."""
    high = max(1, round(frame.height * wide / frame.width))
    small: Tensor = F.interpolate(frame.y[None, None].float(), (high, wide), mode="area")[0, 0]
    return small
