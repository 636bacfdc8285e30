"""Sharpness is detail, and nothing else."""

from __future__ import annotations

import torch

from pipeline.quality.picture import laplacian


def test_blur_lowers_sharpness_and_flat_is_zero() -> None:
    generator = torch.Generator().manual_seed(0)
    sharp = 255 * torch.rand(40, 60, generator=generator)
    blurred = torch.nn.functional.avg_pool2d(sharp[None, None], 3, 1, 1)[0, 0]
    assert laplacian(torch.full((9, 9), 80.0)) == 0.0
    assert laplacian(blurred) < 0.3 * laplacian(sharp)


def test_a_slope_is_not_detail() -> None:
    slope = torch.arange(50.0).repeat(30, 1)
    assert laplacian(slope) == 0.0
