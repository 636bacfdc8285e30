from __future__ import annotations

import pytest

from pipeline.render import batch_of


@pytest.mark.parametrize(
    ("width", "height", "device", "frames"),
    [
        (1280, 720, "cpu", 8),
        (1920, 1080, "cpu", 4),
        (1280, 720, "cuda", 16),
        (1920, 1080, "cuda:1", 16),
    ],
)
def test_more_frames_travel_together_on_a_gpu_and_fewer_large_ones_on_a_cpu(
    width: int, height: int, device: str, frames: int
) -> None:
    assert batch_of(width * height, device) == frames
