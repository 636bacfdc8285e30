"""What a device decodes becomes the same upright planes."""

from __future__ import annotations

import pytest
import torch
from av import VideoFrame

from pipeline.reading.orientation import Orientation
from pipeline.reading.plane_samples import samples
from pipeline.reading.upright import Upright
from pipeline.types import Color


@pytest.mark.parametrize(
    "turn", [Orientation(), Orientation(True, True, False), Orientation(False, True, True)]
)
def test_a_devices_pictures_are_the_same_planes(turn: Orientation) -> None:
    width, height = 96, 64
    frame = VideoFrame(width, height, "yuv420p")
    generator = torch.Generator().manual_seed(3)
    for plane, size in zip(frame.planes, ((64, 96), (32, 48), (32, 48)), strict=True):
        samples(plane, *size).copy_(torch.randint(0, 256, size, generator=generator))
    both = frame.reformat(format="nv12")
    assert both.format.name == "nv12"
    size = (height, width) if turn.transpose else (width, height)
    upright = Upright(*size, Color(1, False, 1, 1), turn)
    for got, want in zip(upright.planes(both), upright.planes(frame), strict=True):
        assert torch.equal(got, want)


@pytest.mark.parametrize(
    ("coded", "surface"),
    [("yuv420p10le", "p010le"), ("yuv420p12le", "p016le"), ("yuv444p10le", "yuv444p16le")],
)
def test_a_devices_deep_pictures_are_the_same_up_to_one_level(coded: str, surface: str) -> None:
    frame = VideoFrame(96, 64, coded)
    bits = int(coded.rpartition("p")[2].removesuffix("le"))
    for plane in frame.planes:
        drawn = torch.randint(0, 2**bits, (plane.buffer_size // 2,), dtype=torch.int16)
        plane.update(drawn.numpy().tobytes())
    found, want = (
        Upright(96, 64, Color(1, False, 1, 1), Orientation()).planes(each)
        for each in (frame.reformat(format=surface), frame)
    )
    assert all(int((a.int() - b.int()).abs().max()) <= 1 for a, b in zip(found, want, strict=True))
