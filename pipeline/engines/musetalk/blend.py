"""Putting a painted box back into its frame."""

from __future__ import annotations

from torch import Tensor

from pipeline.engines.neural.boxes import Box, blend_square
from pipeline.engines.planes import mix


def paste(frame: Tensor, face: Tensor, box: Box, mask: Tensor) -> Tensor:
    """Mix a painted box into a frame, as `PIL.Image.paste` with a mask mixes 8-bit pictures.

    Args:
        frame: (3, H, W) uint8.
        face: (3, box height, box width) uint8.
        box: where the face lies; what reaches over the frame's edge is cut.
        mask: (S, S) uint8 in the coordinates of the box's blending square.

    Returns:
        (3, H, W) uint8; outside the mask bit-identical to `frame`.
    """
    square = blend_square(box)
    inside = box.clamped(*frame.shape[-2:])
    rows, columns = slice(inside.y0, inside.y1), slice(inside.x0, inside.x1)
    patch = frame.clone()
    patch[:, rows, columns] = face[
        :, inside.y0 - box.y0 : inside.y1 - box.y0, inside.x0 - box.x0 : inside.x1 - box.x0
    ]
    seen = square.clamped(*frame.shape[-2:])
    window = (slice(None), slice(seen.y0, seen.y1), slice(seen.x0, seen.x1))
    weight = mask[
        seen.y0 - square.y0 : seen.y1 - square.y0, seen.x0 - square.x0 : seen.x1 - square.x0
    ]
    out = frame.clone()
    out[window] = mix(frame[window], patch[window], weight)
    return out
