"""One face and one frame, step by step, as the originals do it.

What `pipeline.engines` does for whole batches is compared with this, and this with golden vectors.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own abbreviation
from PIL import Image
from torch import Tensor

from pipeline.engines.musetalk.boxes import face_boxes
from pipeline.engines.musetalk.picture import SIDE as MUSETALK_SIDE
from pipeline.engines.neural.boxes import Box, blend_square
from pipeline.engines.neural.contour import FACE, LIPS, NOSE_OUTLINE, polygon
from pipeline.engines.neural.mask import (
    SIDE,
    UPPER_BOUNDARY,
    blur_width,
    gaussian_blur,
    grown_skin,
)
from pipeline.planes import Window, mix, planes_of
from pipeline.types import Color, Frame
from tests.pipeline.engines.resized import opencv_lanczos4

SKIN, NOSE, MOUTH, UPPER_LIP, LOWER_LIP, NECK = 1, 10, 11, 12, 13, 14
"""Classes of CelebAMask-HQ that the rule of the mask names."""

Mode = Literal["jaw", "neck", "raw"]


def face_box(points: Tensor, height: int, width: int) -> Box | None:
    """The box of (68, 2) landmarks in a picture of so many rows and columns."""
    return face_boxes(points.unsqueeze(0), height, width)[0]


def crop(frame: Tensor, box: Box) -> Tensor:
    """The face box as the network's picture.

    Args:
        frame: (3, H, W) uint8.
        box: inside the frame.

    Returns:
        (3, 256, 256) uint8.
    """
    return opencv_lanczos4(frame[:, box.y0 : box.y1, box.x0 : box.x1], MUSETALK_SIDE, MUSETALK_SIDE)


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
        classes[polygon(points.index_select(0, index), SIDE)] = value
    return classes


def region_mask(classes: Tensor, mode: Mode = "jaw") -> Tensor:
    """The hard mask of a class map.

    Args:
        classes: (512, 512) uint8 class indices.
        mode: `jaw` is version 1.5's, `raw` version 1's.

    Returns:
        (512, 512) uint8, 0 or 255.
    """
    if mode == "jaw":
        skin = grown_skin(classes == SKIN) & (classes != NOSE)
        chosen = skin | _isin(classes, (MOUTH, UPPER_LIP, LOWER_LIP))
    elif mode == "neck":
        chosen = _isin(classes, (SKIN, MOUTH, UPPER_LIP, LOWER_LIP, NECK))
    else:
        chosen = _isin(classes, (SKIN, MOUTH, UPPER_LIP, LOWER_LIP))
    return chosen.to(torch.uint8) * 255


def _isin(classes: Tensor, chosen: tuple[int, ...]) -> Tensor:
    return torch.isin(classes, torch.tensor(chosen, dtype=classes.dtype, device=classes.device))


def blend_mask(region: Tensor, box: Box) -> tuple[Tensor, Tensor]:
    """The soft mask of one frame in the coordinates of its blending square.

    Args:
        region: (512, 512) uint8 hard mask of the square.
        box: the face box in the frame.

    Returns:
        (S, S) uint8 soft mask and the same before its blur; S is the square's side.
    """
    square = blend_square(box)
    side = square.height
    whole = torch.from_numpy(np.array(Image.fromarray(region.numpy()).resize((side, side))))
    hard = torch.zeros_like(whole)
    top = max(int(side * UPPER_BOUNDARY), box.y0 - square.y0)
    rows, columns = slice(top, box.y1 - square.y0), slice(box.x0 - square.x0, box.x1 - square.x0)
    hard[rows, columns] = whole[rows, columns]
    return gaussian_blur(hard, blur_width(side)), hard


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
