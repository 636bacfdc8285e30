"""The face box of MuseTalk: from landmarks to the square that the network sees, and around it.

The network was trained on boxes from 68 landmarks (iBUG 300-W order) as a whole-body pose network
gives them: as wide as the face, from the chin up to as far above the lower nose bridge (landmark
29) as the chin is below it. The lower half of that box is what the network paints.
"""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.engines.neural.boxes import Box

EXTRA_MARGIN = 10
"""Pixels that version 1.5 adds below the chin."""

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


def landmark_boxes(points: Tensor, shift: int = 0) -> list[Box]:
    """The boxes of 68 landmarks before any clamping to the right, the left or the bottom.

    Args:
        points: (N, 68, 2) landmarks of N frames, (x, y) in pixels; fractions are cut off as in the
            original.
        shift: rows by which the vertical centre moves down (version 1's `bbox_shift`).
    """
    whole = points.to(torch.int32)
    low, high = whole.amin(1).tolist(), whole.amax(1).tolist()
    centres = (whole[:, 29, 1] + shift).tolist()
    return [
        Box(x0, max(0, centre - (chin - centre)), x1, chin)
        for (x0, _), (x1, chin), centre in zip(low, high, centres, strict=True)
    ]


def face_boxes(points: Tensor, height: int, width: int) -> list[Box | None]:
    """The boxes that a job uses: the rule, the margin below, inside the picture.

    The original leaves x unclamped (and stretches what it cut), and falls back to a detector's
    box, another framing, for single frames; neither is done here.

    Args:
        points: (N, 68, 2) landmarks of N frames, pixels.

    Returns:
        For each frame; None where too little of the face lies inside the picture.
    """
    return [_inside(box, height, width) for box in landmark_boxes(points)]


def _inside(box: Box, height: int, width: int) -> Box | None:
    if box.width <= 0 or box.height <= 0:
        return None
    box = Box(box.x0, box.y0, box.x1, box.y1 + EXTRA_MARGIN).clamped(height, width)
    return box if box.usable() else None


def points_68(mesh: Tensor) -> Tensor:
    """The 68 landmarks, (..., 68, 2), of a face mesh, (..., 478, 2 or 3) pixels."""
    index = torch.tensor(MESH_TO_68, device=mesh.device)
    return mesh.index_select(-2, index)[..., :2]
