"""The cut-out of the attention mesh: where it lies, what it shows, and the way back."""

from __future__ import annotations

import math

import torch

from pipeline.faces.custom_ops import landmarks_to_matrix, transform_bilinear, transform_points

ATTRIBUTES = {
    "left_rotation_idx": 0,
    "right_rotation_idx": 1,
    "subset_idxs": [0, 1, 2, 3],
    "scale_x": 1.5,
    "scale_y": 1.5,
    "output_width": 16,
    "output_height": 16,
    "target_rotation_radians": 0.0,
}


def box(turn: float) -> torch.Tensor:
    """(1, 4, 3): left, right, top and bottom of a box of 20 x 10 around (30, 40), turned."""
    flat = torch.tensor([[-10.0, 0], [10, 0], [0, -5], [0, 5]])
    cos, sin = math.cos(turn), math.sin(turn)
    turned = flat @ torch.tensor([[cos, sin], [-sin, cos]]) + torch.tensor([30.0, 40])
    return torch.cat([turned, torch.zeros(4, 1)], dim=1)[None]


def test_the_cut_out_is_one_and_a_half_boxes_and_turns_with_the_points() -> None:
    for turn in (0.0, 0.4, -1.2):
        matrix = landmarks_to_matrix(ATTRIBUTES, "cpu")(box(turn))
        corners = torch.tensor([[[8.0, 8.0], [16.0, 8.0], [8.0, 16.0]]])
        centre, right, below = transform_points(corners, matrix)[0]
        along = torch.tensor([math.cos(turn), math.sin(turn)])
        down = torch.tensor([-math.sin(turn), math.cos(turn)])
        torch.testing.assert_close(centre, torch.tensor([30.0, 40.0]), atol=1e-3, rtol=0)
        torch.testing.assert_close(right - centre, 15 * along, atol=1e-3, rtol=0)
        torch.testing.assert_close(below - centre, 7.5 * down, atol=1e-3, rtol=0)


def test_the_cut_out_reads_between_samples_and_is_zero_outside() -> None:
    y, x = torch.meshgrid(torch.arange(48.0), torch.arange(48.0), indexing="ij")
    features = torch.stack([x, y])[None]
    matrix = torch.eye(4)[None].clone()
    matrix[0, 0, 3], matrix[0, 1, 3] = 10.25, 40.5
    cut = transform_bilinear({"output_width": 16, "output_height": 16}, "cpu")(features, matrix)
    torch.testing.assert_close(cut[0, 0, 0], torch.arange(16) + 10.25)
    torch.testing.assert_close(cut[0, 1, :7, 0], torch.arange(7) + 40.5)
    assert float(cut[0, :, 7:].abs().max()) == 0
