"""A new shot is told from motion and from a change of light."""

from __future__ import annotations

import torch

from pipeline.faces.cuts import CutFinder
from pipeline.types import Frame


def scene(seed: int, index: int, shift: int = 0, light: float = 0.0) -> Frame:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(1, 1, 9, 16, generator=generator) * 150 + 40
    luma = torch.nn.functional.interpolate(coarse, (360, 640), mode="bilinear")[0, 0]
    luma = (luma.roll(shift, 1) + light).clamp(16, 235).to(torch.uint8)
    chroma = torch.full((180, 320), 128, dtype=torch.uint8)
    return Frame(luma, chroma, chroma, index)


def cuts(frames: list[Frame]) -> list[int]:
    finder = CutFinder()
    parts = [frames[:5], frames[5:12], frames[12:]]
    starts = [0, 5, 12]
    return [at + n for at, part in zip(starts, parts, strict=True) for n in finder.find(part)]


def test_only_the_first_frame_of_another_scene_is_a_cut() -> None:
    frames = [scene(1, n, shift=3 * n) for n in range(12)] + [scene(2, n) for n in range(12)]
    assert cuts(frames) == [12]


def test_a_flash_is_no_cut() -> None:
    assert cuts([scene(1, n, light=40.0 if n in (5, 6) else 0.0) for n in range(12)]) == []


def test_a_camera_that_swings_is_no_cut() -> None:
    assert cuts([scene(1, n, shift=n * n) for n in range(16)]) == []
