"""The colours of a face at points of its mesh: a print of the lower face that moves with it.

A point of the mesh lies on the same piece of skin or lip in every frame, however the head turns and
the mouth moves. So its colour hardly changes, until something comes before the face.
"""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own abbreviation
from torch import Tensor

from pipeline.faces.topology import (
    LIPS_OUTER_LOWER,
    LIPS_OUTER_UPPER,
    LIPS_SECOND_LOWER,
    LIPS_SECOND_UPPER,
)

OUTER_LIPS = (*LIPS_OUTER_UPPER, *LIPS_OUTER_LOWER[1:-1])
SECOND_LIPS = (*LIPS_SECOND_UPPER, *LIPS_SECOND_LOWER[1:-1])
AROUND = (
    *(164, 167, 393, 165, 391, 186, 410, 92, 322, 57, 287, 212, 432, 43, 273, 106, 335),
    *(18, 200, 199, 83, 313, 201, 421, 204, 424, 202, 422, 214, 434, 210, 430, 208, 428),
    *(150, 149, 176, 148, 152, 377, 400, 378, 379),
)
"""Skin between the nose, the cheeks and the edge of the chin."""
PLACES = (*OUTER_LIPS, *SECOND_LIPS, *AROUND)
LIPS = len(OUTER_LIPS) + len(SECOND_LIPS)
"""So many of `PLACES`, the first ones, are lips."""
UPPER = (
    *(10, 109, 338, 67, 297, 151, 108, 337, 9, 8, 168, 6, 197, 195, 122, 351, 196, 419, 188, 412),
    *(193, 417, 245, 465, 128, 357, 116, 345, 117, 346, 118, 347, 50, 280, 36, 266, 203, 423),
)
"""Forehead, nose and upper cheeks, which show what light there is."""
ROW = len(PLACES) + 1
COMPLEXION = 6
"""Numbers of a complexion."""
_CHUNK = 512
_APART = 1.5
"""A colour is the mean of four readings, so many pixels of the network's picture beside the point:
skin has pores, and the mesh slips a little."""


def sample(pictures: Tensor, places: Tensor) -> Tensor:
    """Colours of faces.

    Args:
        pictures: (N, 3, side, side) RGB from 0 to 1.
        places: (N, 468 or more, 2 or 3) points in them, pixels.

    Returns:
        (N, ROW, 3) uint8 RGB on the host: one row per entry of `PLACES`, and the median of `UPPER`.
    """
    side = pictures.shape[-1]
    count = len(PLACES) + len(UPPER)
    chosen, offsets = _readings(str(places.device))
    at = places.index_select(1, chosen)[:, :, None, :2]
    grid = (at + offsets).reshape(len(places), 1, count * 4, 2) * (2 / (side - 1)) - 1
    read = F.grid_sample(pictures, grid, "bilinear", "border", align_corners=True)
    colors = read.view(len(places), 3, count, 4).mean(3).transpose(1, 2)
    light = colors[:, len(PLACES) :].median(1, keepdim=True).values
    found = torch.cat([colors[:, : len(PLACES)], light], dim=1) * 255
    return found.round().clamp_(0, 255).to(torch.uint8).cpu()


def luma_and_tints(colors: Tensor) -> Tensor:
    """(n, ROW, 3) RGB to luma and two differences of colour, towards blue and towards red."""
    red, green, blue = colors.float().unbind(2)
    luma = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    return torch.stack([luma, 0.54 * (blue - luma), 0.64 * (red - luma)], dim=2)


def complexion(colors: Tensor) -> Tensor:
    """What tells a person in a light from another one, or from the same in another light.

    Args:
        colors: (N, ROW, 3) uint8 from `sample`.

    Returns:
        (N, COMPLEXION) float16: by how much lips are lighter, bluer and redder than the skin around
        them, and that skin than the upper face, of 255.
    """
    parts = []
    for some in torch.split(colors, _CHUNK):
        seen = luma_and_tints(some)
        lips, skin = seen[:, :LIPS].mean(1), seen[:, LIPS:-1].mean(1)
        parts.append(torch.cat([lips - skin, skin - seen[:, -1]], 1).half())
    return torch.cat(parts)


@lru_cache(maxsize=8)
def _readings(device: str) -> tuple[Tensor, Tensor]:
    """The points that are read, (K,), and (4, 2) where around each of them."""
    step = torch.tensor([-_APART, _APART])
    offsets = torch.cartesian_prod(step, step)
    return torch.tensor([*PLACES, *UPPER]).to(device), offsets.to(device)
