"""The face box of MuseTalk: from landmarks to the square that the network sees, and around it.

The network was trained on boxes from 68 landmarks (iBUG 300-W order) as a whole-body pose network
gives them: as wide as the face, from the chin up to as far above the lower nose bridge (landmark
29) as the chin is below it. The lower half of that box is what the network paints.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.avatars.parts import Parts, Unfit

EXTRA_MARGIN = 10
"""Pixels that version 1.5 adds below the chin."""
EXPAND = 1.5
"""Side of the blending square over the longer side of the box."""
MIN_SIDE = 8
"""A box with a shorter side inside the picture cannot be cut out, px."""

# The 68 points of iBUG 300-W among the 478 points of the face mesh.
# fmt: off
MESH_TO_68 = (
    162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389,  # jaw
    71, 63, 105, 66, 107, 336, 296, 334, 293, 301,  # brows
    168, 197, 5, 4, 75, 97, 2, 326, 305,  # nose
    33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380,  # eyes
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181,  # outer lips
    78, 82, 13, 312, 308, 317, 14, 87,  # inner lips
)
# fmt: on


@dataclass(frozen=True, slots=True)
class Box:
    """Half-open rectangle, whole pixels; may reach over the picture's edge."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def width(self) -> int:
        """Columns."""
        return self.x1 - self.x0

    @property
    def height(self) -> int:
        """Rows."""
        return self.y1 - self.y0

    def clamped(self, height: int, width: int) -> Box:
        """The part inside a picture."""
        return Box(
            min(max(self.x0, 0), width),
            min(max(self.y0, 0), height),
            min(max(self.x1, 0), width),
            min(max(self.y1, 0), height),
        )

    def usable(self) -> bool:
        """True when there is enough of it to be cut out."""
        return self.width >= MIN_SIDE and self.height >= MIN_SIDE


def landmark_rule(points: Tensor, shift: int = 0) -> Box:
    """The box of 68 landmarks before any clamping to the right, the left or the bottom.

    Args:
        points: (68, 2) landmarks, (x, y) in pixels; fractions are cut off as in the original.
        shift: rows by which the vertical centre moves down (version 1's `bbox_shift`).
    """
    return landmark_rules(points.unsqueeze(0), shift)[0]


def landmark_rules(points: Tensor, shift: int = 0) -> list[Box]:
    """`landmark_rule` of many frames: (N, 68, 2) landmarks."""
    whole = points.to(torch.int32)
    low, high = whole.amin(1).tolist(), whole.amax(1).tolist()
    centres = (whole[:, 29, 1] + shift).tolist()
    return [
        Box(x0, max(0, centre - (chin - centre)), x1, chin)
        for (x0, _), (x1, chin), centre in zip(low, high, centres, strict=True)
    ]


def face_box(points: Tensor, height: int, width: int) -> Box | None:
    """The box that a job uses for one frame: the rule, the margin below, inside the picture.

    The original leaves x unclamped (and stretches what it cut), and falls back to a detector's
    box, another framing, for single frames; neither is done here.

    Args:
        points: (68, 2) landmarks in pixels.
        height: rows of the picture.
        width: columns of the picture.

    Returns:
        None when too little of the face lies inside the picture.
    """
    return face_boxes(points.unsqueeze(0), height, width)[0]


def face_boxes(points: Tensor, height: int, width: int) -> list[Box | None]:
    """`face_box` of many frames: (N, 68, 2) landmarks in pixels."""
    return [_inside(box, height, width) for box in landmark_rules(points)]


def _inside(box: Box, height: int, width: int) -> Box | None:
    if box.width <= 0 or box.height <= 0:
        return None
    box = Box(box.x0, box.y0, box.x1, box.y1 + EXTRA_MARGIN).clamped(height, width)
    return box if box.usable() else None


def points_68(mesh: Tensor) -> Tensor:
    """The 68 landmarks of a face mesh.

    Args:
        mesh: (..., 478, 2 or 3) points, pixels.

    Returns:
        (..., 68, 2).
    """
    index = torch.tensor(MESH_TO_68, device=mesh.device)
    return mesh.index_select(-2, index)[..., :2]


def blend_square(box: Box) -> Box:
    """The square around a box in which its mask lives; may reach over the picture's edge."""
    x, y = (box.x0 + box.x1) // 2, (box.y0 + box.y1) // 2
    half = int(max(box.width, box.height) // 2 * EXPAND)
    return Box(x - half, y - half, x + half, y + half)


def box_parts(boxes: Mapping[int, Box]) -> Parts:
    """Boxes by grid frame, for keeping."""
    edges = [[box.x0, box.y0, box.x1, box.y1] for box in boxes.values()]
    return Parts(
        {
            "frames": torch.tensor(list(boxes), dtype=torch.int64),
            "edges": torch.tensor(edges, dtype=torch.int64),
        }
    )


def boxes_of(parts: Parts, frames: int, height: int, width: int) -> dict[int, Box]:
    """Boxes by grid frame from their parts.

    Args:
        parts: from `box_parts`.
        frames: grid frames of the track.
        height: rows of the picture.
        width: columns of the picture.

    Raises:
        Unfit: they are not boxes inside such a picture, of frames of such a track.
    """
    if not {"frames", "edges"} <= parts.tensors.keys():
        raise Unfit("no boxes")
    index, edges = parts.tensors["frames"].tolist(), parts.tensors["edges"].tolist()
    if len(index) != len(edges) or any(len(each) != 4 for each in edges):
        raise Unfit("boxes of another shape")
    boxes = {n: Box(*each) for n, each in zip(index, edges, strict=True)}
    for n, box in boxes.items():
        if not 0 <= n < frames or not box.usable() or box != box.clamped(height, width):
            raise Unfit(f"frame {n}: {box} is none of {frames} pictures of {width}x{height}")
    return boxes
