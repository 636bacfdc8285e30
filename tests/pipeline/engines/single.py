"""One face and one frame, step by step: what `pipeline.engines.neural` does for whole batches."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own abbreviation
from torch import Tensor

from pipeline.engines.neural.boxes import Box, blend_square
from pipeline.engines.neural.contour import FACE, LIPS, NOSE_OUTLINE, polygon
from pipeline.engines.neural.mask import NOSE, SIDE, SKIN, UPPER_LIP, blend_mask, region_mask
from pipeline.engines.planes import Window, mix, planes_of
from pipeline.types import Color, Frame


def class_map(mesh: Tensor, square: Box) -> Tensor:
    """The face's regions in the coordinates of its blending square.

    Args:
        mesh: (478, 2 or 3) points, pixels of the frame.
        square: the blending square in the frame.

    Returns:
        (512, 512) uint8 of 0, SKIN, NOSE and UPPER_LIP (which stands for the whole mouth).
    """
    origin = torch.tensor([square.x0, square.y0], dtype=torch.float32, device=mesh.device)
    # A pixel's centre lies at integer coordinates, and the square is cut at pixel edges.
    points = (mesh[:, :2].float() - origin + 0.5) * (SIDE / square.height) - 0.5
    classes = torch.zeros(SIDE, SIDE, dtype=torch.uint8, device=mesh.device)
    for outline, value in ((FACE, SKIN), (NOSE_OUTLINE, NOSE), (LIPS, UPPER_LIP)):
        index = torch.tensor(outline, device=mesh.device)
        classes[polygon(points.index_select(0, index), SIDE, SIDE)] = value
    return classes


def soft_mask(mesh: Tensor, box: Box) -> Tensor:
    """The soft mask of a face inside its box.

    Args:
        mesh: (478, 2) pixels of the frame.
        box: the face box, inside the frame.

    Returns:
        (box height, box width) uint8.
    """
    square = blend_square(box)
    soft, _ = blend_mask(region_mask(class_map(mesh, square)), box)
    return soft[box.y0 - square.y0 : box.y1 - square.y0, box.x0 - square.x0 : box.x1 - square.x0]


def write_rgb(frame: Frame, rgb: Tensor, weight: Tensor, window: Window, color: Color) -> Frame:
    """Mix an RGB picture into a frame.

    Args:
        frame: the frame; stays as it is.
        rgb: (3, H, W) uint8 of the window's size.
        weight: (H, W) uint8, 0 keeps the frame's sample, 255 takes the picture's.
        window: inside the frame.
        color: how the planes are to be read.

    Returns:
        A new frame. A luma sample with weight 0, and a chroma sample whose four luma samples have
        weight 0, are bit-identical.
    """
    outer = window.even()
    edge = (window.x0 - outer.x0, outer.x1 - window.x1, window.y0 - outer.y0, outer.y1 - window.y1)
    picture = F.pad(rgb.float().unsqueeze(0), edge, mode="replicate")[0]
    soft = F.pad(weight, edge)
    planes = [
        plane.round().clamp(0, 255).to(torch.uint8).cpu() for plane in planes_of(picture, color)
    ]
    pairs = soft.to(torch.int32).reshape(soft.shape[0] // 2, 2, soft.shape[1] // 2, 2)
    soft_chroma = ((pairs.sum(dim=(1, 3)) + 2) // 4).cpu()
    half = Window(outer.x0 // 2, outer.y0 // 2, outer.x1 // 2, outer.y1 // 2)
    return replace(
        frame,
        y=_mixed(frame.y, planes[0], soft.cpu(), outer),
        u=_mixed(frame.u, planes[1], soft_chroma, half),
        v=_mixed(frame.v, planes[2], soft_chroma, half),
    )


def _mixed(plane: Tensor, above: Tensor, weight: Tensor, window: Window) -> Tensor:
    out = plane.clone()
    inside = out[window.y0 : window.y1, window.x0 : window.x1]
    inside.copy_(mix(inside, above, weight))
    return out
