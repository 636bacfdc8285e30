"""Smoothing stills what should be still, and mixes nothing that does not belong together."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from pipeline.faces.point_store import PointStore
from pipeline.faces.smooth import Geometry, finish


def face(seed: int = 0) -> Tensor:
    """(478, 3) points with eye corners 100 px apart."""
    generator = torch.Generator().manual_seed(seed)
    points = torch.rand(478, 3, generator=generator) * 120 + 200
    points[33], points[263] = torch.tensor([210.0, 250, 0]), torch.tensor([310.0, 250, 0])
    return points


def smoothed(
    meshes: Tensor, folder: Path, absent: tuple[int, ...] = (), cuts: tuple[int, ...] = ()
) -> Geometry:
    raw, out = PointStore(folder), PointStore(folder)
    raw.write(0, meshes)
    present = torch.ones(len(meshes), dtype=torch.bool)
    present[list(absent)] = False
    return finish(raw, present, cuts, out)


def acceleration(points: Tensor) -> float:
    return float((points[2:] - 2 * points[1:-1] + points[:-2])[..., :2].norm(dim=2).mean())


def test_jitter_shrinks_and_the_middle_stays(tmp_path: Path) -> None:
    torch.manual_seed(0)
    still = face().expand(400, -1, -1)
    noisy = still + 0.3 * torch.randn(400, 478, 3)
    points = smoothed(noisy, tmp_path).store.read(0, 400)
    assert acceleration(points) < 0.35 * acceleration(noisy)
    assert float((points.mean(0) - still[0]).abs().max()) < 0.1


def test_a_sudden_opening_is_not_smeared(tmp_path: Path) -> None:
    meshes = face().repeat(40, 1, 1)
    meshes[20:, 14, 1] += 12  # a lower lip that drops by .12 of the eye distance in one frame
    points = smoothed(meshes, tmp_path).store.read(0, 40)
    torch.testing.assert_close(points, meshes, atol=0.05, rtol=0)


def test_nothing_is_mixed_across_a_cut_or_a_gap(tmp_path: Path) -> None:
    meshes = face().repeat(30, 1, 1)
    meshes[10:] += 1.0
    meshes[20] = 7777.0  # nobody there: what lies in the file must not matter
    meshes[21:] += 1.0
    geometry = smoothed(meshes, tmp_path, absent=(20,), cuts=(10,))
    points = geometry.store.read(0, 30)
    torch.testing.assert_close(points[:20], meshes[:20])
    torch.testing.assert_close(points[21:], meshes[21:])
    assert bool(points[20].isnan().all())
    assert geometry.cut.nonzero()[:, 0].tolist() == [10]
    assert float(geometry.io[20]) == 0
    assert float(geometry.io[5]) == pytest.approx(100, abs=0.01)


def test_another_face_or_place_is_a_cut_and_a_blink_is_none(tmp_path: Path) -> None:
    meshes = face().repeat(50, 1, 1)
    meshes[10:, 33, 0] += 8.0  # a corner of an eye
    meshes[20:] = meshes[20:] * 1.1
    meshes[30:, :, 0] += 200
    geometry = smoothed(meshes, tmp_path)
    assert geometry.cut.nonzero()[:, 0].tolist() == [20, 30]


def test_smoothing_in_chunks_gives_what_one_piece_gives(tmp_path: Path) -> None:
    torch.manual_seed(1)
    meshes = face() + 0.3 * torch.randn(600, 478, 3)
    whole = smoothed(meshes, tmp_path).store.read(0, 600)
    part = smoothed(meshes[200:320], tmp_path).store.read(0, 120)
    torch.testing.assert_close(whole[204:316], part[4:116])
