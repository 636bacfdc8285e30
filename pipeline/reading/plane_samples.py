"""The samples of libavutil's pictures, as tensors in the same memory."""

from __future__ import annotations

import torch
from av.video.plane import VideoPlane
from torch import Tensor


def samples(plane: VideoPlane, height: int, width: int) -> Tensor:
    """(height, width) uint8 in the plane's own memory, which must outlive it."""
    return torch.frombuffer(plane, dtype=torch.uint8).as_strided(
        (height, width), (plane.line_size, 1)
    )
