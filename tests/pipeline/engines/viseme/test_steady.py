"""Heads turn steadily: noise is smoothed, motion and cuts are kept."""

from __future__ import annotations

from fractions import Fraction

import torch

from pipeline.engines.viseme.heads import Heads, Skull, fit_heads, mean_skull
from pipeline.engines.viseme.points import CHIN, NOSE_BASE, PLACE
from pipeline.engines.viseme.steady import steady, steady_complexion, steady_slip, turned
from pipeline.faces.appearance import COMPLEXION


def turns(yaw: torch.Tensor) -> torch.Tensor:
    zero, one = torch.zeros_like(yaw), torch.ones_like(yaw)
    rows = [yaw.cos(), zero, yaw.sin(), zero, one, zero, -yaw.sin(), zero, yaw.cos()]
    return torch.stack(rows, 1).reshape(-1, 3, 3)


def angle(rotation: torch.Tensor) -> torch.Tensor:
    return torch.atan2(rotation[:, 0, 2], rotation[:, 2, 2])


def test_a_turn_that_speeds_up_is_kept_and_noise_on_it_is_not() -> None:
    at = torch.arange(60) / 25
    real = 0.05 + 0.2 * at + 0.1 * at.square()
    noise = 0.02 * torch.randn(60, generator=torch.Generator().manual_seed(1))
    run = torch.zeros(60, dtype=torch.int64)
    assert (angle(steady(turns(real), run)) - real).abs().max() < 1e-3
    left = angle(steady(turns(real + noise), run)) - real
    assert left[3:-3].std() < 0.75 * noise.std()


def test_what_comes_out_is_a_rotation_and_a_cut_is_not_smoothed() -> None:
    yaw = torch.cat([torch.full((5,), -0.4), torch.full((2,), 0.4)])
    found = steady(turns(yaw), torch.tensor([0, 0, 0, 0, 0, 1, 1]))
    assert torch.allclose(angle(found), yaw, atol=1e-5)
    assert torch.allclose(found @ found.transpose(1, 2), torch.eye(3).expand(7, 3, 3), atol=1e-5)


def test_a_complexion_is_that_of_its_own_shot_and_of_no_moment() -> None:
    seen = torch.zeros(60, COMPLEXION)
    seen[30:] = 20.0
    seen[10] = 30.0
    seen[45:50] = 99.0
    run = torch.tensor([0] * 30 + [1] * 15 + [2] * 5 + [3] * 10)
    frames = torch.tensor([*range(45), *range(50, 60)])
    found = steady_complexion(seen, frames, run, Fraction(25))
    assert found[:30].max() < 3
    torch.testing.assert_close(found[30:45], seen[30:45])
    torch.testing.assert_close(found[50:], seen[50:])
    assert not found[45:50].any()


def test_a_head_turned_otherwise_stays_where_it_is() -> None:
    stable = torch.randn(20, 3, generator=torch.Generator().manual_seed(2))
    skull = Skull(stable)
    heads = Heads(
        torch.tensor([90.0]),
        turns(torch.tensor([0.3])),
        torch.ones(1, 3),
        stable[None],
        torch.ones(1),
        torch.zeros(1, 3),
    )
    other = turned(heads, turns(torch.tensor([0.35])), torch.zeros(1, 3), skull)
    before, after = heads.project(stable[None]), other.project(stable[None])
    assert torch.allclose(before.mean(1), after.mean(1), atol=1e-3)
    assert not torch.allclose(before, after, atol=1)


def test_a_nose_that_shakes_hardly_shakes_a_lent_mouth_and_one_that_lies_off_moves_it() -> None:
    random = torch.Generator().manual_seed(3)
    head = 40 * torch.randn(478, 3, generator=random)
    head[33], head[263] = torch.tensor([-50.0, 0, 0]), torch.tensor([50.0, 0, 0])
    points = head.repeat(60, 1, 1)
    shake = 2 * torch.randn(60, 1, 3, generator=random)
    shake[30:] += 4  # it lies elsewhere for good
    points[:, list(NOSE_BASE)] += shake
    skull = mean_skull(points)
    heads, run = fit_heads(points, skull), torch.zeros(60, dtype=torch.int64)
    shape = heads.shape[:1].expand(60, -1, -1)
    mouth = heads.project(shape)[:, PLACE[CHIN]]
    placed = turned(heads, heads.rotation, steady_slip(heads.slip, run), skull)
    steadied = placed.project(shape)[:, PLACE[CHIN]]
    bend, before = ((x[2:25] - 2 * x[1:24] + x[:23]).norm(dim=1).mean() for x in (steadied, mouth))
    assert before > 1
    assert bend < 0.5 * before
    assert torch.allclose(steadied[40:].mean(0), mouth[40:].mean(0), atol=0.3)
    assert (steadied[40:].mean(0) - steadied[:20].mean(0)).norm() > 1
