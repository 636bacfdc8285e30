"""Whose face is meant, where a clip shows several: the largest, or the one that a box names."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from pipeline.faces.follower import Follower
from pipeline.types import VideoFacts
from schemas.request import FaceBox

RIVAL = 0.5
"""Another face of at least this share of the largest one's area is named: it may be meant."""


def asked_box(box: FaceBox, video: VideoFacts) -> Tensor:
    """(4,) pixels of the frame: what the box holds of it.

    Boxes count pixels of the reference before it was scaled. What lies beyond the frame would be
    searched through for nothing, however far it goes.
    """
    sides = (video.width, video.height) * 2
    places = zip(box.box, sides, strict=True)
    return torch.tensor([min(max(place * video.scale, 0.0), side) for place, side in places])


def pick(followers: list[Follower], wanted: Tensor | None) -> Follower:
    """The face nearest to (4,) `wanted` in the median frame, or the largest without it.

    The largest by its area, summed over the clip.
    """
    if wanted is None:
        return max(followers, key=lambda follower: follower.area_sum)

    def distance(follower: Follower) -> float:
        rows = follower.seen(follower.last_index + 1)
        boxes = rows[rows[:, 0] > 0, 1:]
        middles = (boxes[:, :2] + boxes[:, 2:]) / 2
        return float((middles - (wanted[:2] + wanted[2:]) / 2).norm(dim=1).median())

    return min(followers, key=distance)


def find_rival(
    picked: Follower, followers: list[Follower], video: VideoFacts
) -> dict[str, Any] | None:
    """The largest face beside the picked one, if it is nearly as large.

    Its `share` of the picked one's area, and its `box` as a request would name it, in pixels of the
    reference.
    """
    shares = [_share_beside(follower, picked) for follower in followers]
    share, rival = max(zip(shares, followers, strict=True), key=lambda pair: pair[0])
    if share < RIVAL:
        return None
    return {"share": round(share, 2), "box": [round(v / video.scale, 1) for v in rival.last_box]}


def _share_beside(other: Follower, picked: Follower) -> float:
    """A face's area against the picked one's, in frames that show both; 0 of the picked itself."""
    if other is picked:
        return 0.0
    frames = min(other.last_index, picked.last_index) + 1
    theirs, ours = (each.seen(frames) for each in (other, picked))
    both = (theirs[:, 0] > 0) & (ours[:, 0] > 0)
    areas = [(rows[both, 3:] - rows[both, 1:3]).prod(1).sum() for rows in (theirs, ours)]
    return float(areas[0] / areas[1]) if bool(both.any()) else 0.0
