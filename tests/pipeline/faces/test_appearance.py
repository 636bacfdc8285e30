"""What tells people in a light apart."""

from __future__ import annotations

import torch

from pipeline.faces.appearance import COMPLEXION, LIPS, ROW, complexion


def face(lips: tuple[int, ...], skin: tuple[int, ...], upper: tuple[int, ...]) -> torch.Tensor:
    """(1, ROW, 3)."""
    colors = torch.tensor(skin).expand(1, ROW, 3).clone()
    colors[:, :LIPS], colors[:, -1] = torch.tensor(lips), torch.tensor(upper)
    return colors.to(torch.uint8)


def test_lipstick_beards_and_colours_of_light_show_in_a_complexion() -> None:
    plain = face((170, 110, 105), (200, 150, 130), (205, 155, 135))
    lipstick = face((150, 40, 60), (200, 150, 130), (205, 155, 135))
    beard = face((170, 110, 105), (110, 85, 75), (205, 155, 135))
    found = complexion(torch.cat([plain, lipstick, beard])).float()
    assert found.shape == (3, COMPLEXION)
    assert (found[1] - found[0])[2] > 5
    assert torch.equal(found[1, 3:], found[0, 3:])
    assert (found[2] - found[0])[3] < -40
    assert (found[2] - found[0])[0] > 40
