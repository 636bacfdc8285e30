"""Pictures inside regions: right places, right colours, straight from the planes."""

from __future__ import annotations

from typing import Literal

import pytest
import torch
from torch import Tensor

from pipeline.faces.crop import cut_out
from pipeline.faces.roi import to_frame
from pipeline.types import Color, Frame

BT601 = Color(matrix=6, full_range=False, primaries=6, transfer=6)
GREY = Color(matrix=1, full_range=True, primaries=1, transfer=1)


def ramp(high: int, wide: int, axis: str) -> Frame:
    """Luma equal to the column's or row's number, divided to fit, without colour."""
    y, x = torch.meshgrid(torch.arange(high), torch.arange(wide), indexing="ij")
    luma = (x if axis == "x" else y) // 4
    chroma = torch.full((high // 2, wide // 2), 128, dtype=torch.uint8)
    return Frame(luma.to(torch.uint8), chroma, chroma, 0)


def places(region: Tensor, side: int) -> Tensor:
    """(side, side, 2) where in the frame a region's pixels are."""
    steps = torch.arange(side) / side
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    return to_frame(torch.stack([x, y], 2).view(1, -1, 2), region[None])[0].view(side, side, 2)


@pytest.mark.parametrize("size", [40.0, 150.0, 333.0, 600.0])
@pytest.mark.parametrize("angle", [0.0, 0.3])
def test_pixels_come_from_where_the_region_says(size: float, angle: float) -> None:
    region = torch.tensor([500.0, 410.0, size, angle])
    expected = places(region, 64)
    for axis, part in (("x", 0), ("y", 1)):
        picture = cut_out([ramp(840, 1000, axis)], region[None], 64, GREY)[0]
        # The ramp has steps of four pixels; its mean is 1.5 pixels behind the column's number.
        found = picture[0] * 255 * 4 + 1.5
        assert float((found - expected[..., part]).abs().max()) < 3.5


def test_outside_is_the_edge_or_black() -> None:
    region = torch.tensor([[0.0, 100.0, 100.0, 0.0]])
    frame = ramp(200, 400, "y")
    edge = cut_out([frame], region, 50, GREY)[0]
    torch.testing.assert_close(edge[:, :, 0], edge[:, :, 26], atol=0.005, rtol=0)
    black = cut_out([frame], region, 50, GREY, outside="black")[0]
    assert float(black[:, :, :25].abs().max()) == 0
    assert float(black[:, :, 26:].min()) > 0


@pytest.mark.parametrize(("wide", "high"), [(4000, 16), (16, 4000), (4000, 2), (2, 4000)])
def test_a_strip_thinner_than_a_pixel_of_the_picture_is_seen_without_reading_beyond_it(
    wide: int, high: int
) -> None:
    luma = torch.full((high, wide), 200, dtype=torch.uint8)
    chroma = torch.full((high // 2, wide // 2), 128, dtype=torch.uint8)
    region = torch.tensor([[wide / 2, high / 2, 4000.0, 0.0]])
    picture = cut_out([Frame(luma, chroma, chroma, 0)], region, 128, GREY)[0]
    assert torch.allclose(picture, torch.tensor(200 / 255), atol=0.003)


@pytest.mark.parametrize("outside", ["edge", "black"])
def test_a_batch_has_the_bits_of_its_pictures_one_by_one(
    outside: Literal["edge", "black"],
) -> None:
    generator = torch.Generator().manual_seed(1)

    def noise(high: int, wide: int) -> Tensor:
        return torch.randint(0, 256, (high, wide), generator=generator).to(torch.uint8)

    frames = [Frame(noise(240, 320), noise(120, 160), noise(120, 160), n) for n in range(7)]
    still, coarse = [160.0, 120.0, 70.0, 0.1], [150.0, 110.0, 400.0, 0.0]
    leaning, corner = [161.5, 121.0, 90.0, -0.4], [4.0, 7.0, 200.0, 0.0]
    regions = torch.tensor([still, still, leaning, coarse, coarse, corner, still])
    together = cut_out(frames, regions, 48, BT601, outside=outside)
    for frame, region, picture in zip(frames, regions, together, strict=True):
        assert torch.equal(cut_out([frame], region[None], 48, BT601, outside=outside)[0], picture)


@pytest.mark.parametrize(
    ("color", "rgb"),
    [
        # ITU-R BT.601 and BT.709 give these samples to pure red, and to pure blue.
        (BT601, {(81, 90, 240): (1, 0, 0), (41, 240, 110): (0, 0, 1)}),
        (Color(1, False, 1, 1), {(63, 102, 240): (1, 0, 0), (32, 240, 118): (0, 0, 1)}),
    ],
)
def test_colours_follow_the_streams_matrix(
    color: Color, rgb: dict[tuple[int, int, int], tuple[int, int, int]]
) -> None:
    for (y, u, v), expected in rgb.items():
        frame = Frame(
            torch.full((64, 64), y, dtype=torch.uint8),
            torch.full((32, 32), u, dtype=torch.uint8),
            torch.full((32, 32), v, dtype=torch.uint8),
            0,
        )
        found = cut_out([frame], torch.tensor([[32.0, 32.0, 30.0, 0.2]]), 16, color)[0]
        assert torch.allclose(found.mean((1, 2)), torch.tensor(expected).float(), atol=0.02)
