"""Skin never comes to lie above the lower lip's edge, whatever the mesh and the lenders say."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from pipeline.engines.viseme import scene, warp
from pipeline.engines.viseme.canvas import NODES, Area, Box, Canvas
from pipeline.engines.viseme.features import measure
from pipeline.engines.viseme.heads import fit_heads, mean_skull
from pipeline.engines.viseme.points import BELOW, CHIN, LOWER_RINGS, PLACE, places
from pipeline.engines.viseme.under_lip import LEAST, under_lip
from pipeline.speech.mouth_range import MouthPath
from tests.pipeline.engines.viseme.puppet import Pose, head

if TYPE_CHECKING:
    from pipeline.engines.viseme.plan import Plan

WHOLE, CHIN_BOX = Box(0, 0, 240, 176), Box(96, 76, 48, 48)
CANVAS = Canvas.make((240, 176), (120, 70), 100.0, WHOLE, WHOLE, "cpu")
FINE = Area.make(CHIN_BOX, CHIN_BOX, "cpu")
"""Under the lip, with a node at every other pixel."""
NEAR, EDGE = [PLACE[p] for p in (83, 18, 313)], [PLACE[p] for p in LOWER_RINGS[0][4:7]]
MIDDLE = (0.0, 0.57), (0.0, 0.66), (0.0, 0.76)
"""Of the skin in the middle of the chin, io."""


def face(lip: float = 0.0, aperture: float = 0.05) -> Tensor:
    """(1, 478, 3) a head whose lower lip is tracked so much too low, io; the skin is not."""
    points = head(Pose(aperture))
    for n, point in enumerate((18, 200, 199)):
        points[point, :2] = torch.tensor([200 + 100 * MIDDLE[n][0], 150 + 100 * MIDDLE[n][1]])
    for point, x in ((83, -0.08), (313, 0.08)):
        points[point, :2] = torch.tensor([200 + 100 * x, 150 + 57])
    for ring in LOWER_RINGS:
        points[list(ring[1:-1]), 1] += 100 * lip
    return points[None]


def shape(lip: float, aperture: float = 0.05) -> Tensor:
    """(1, K, 3) of that head, as the mesh has it."""
    points = face(lip, aperture)
    heads = fit_heads(points, mean_skull(face()))
    raw = (points[0, [*_numbers()]] - heads.origin) / heads.scale
    return raw[None]


def _numbers() -> list[int]:
    return list(PLACE)


def _room(found: Tensor) -> Tensor:
    return found[:, NEAR, 1] - found[:, EDGE, 1]


def test_skin_above_the_lips_edge_is_brought_under_it() -> None:
    crossed = shape(0.12)
    assert float(_room(crossed).min()) < 0
    assert float(_room(under_lip(crossed)).min()) > 0.8 * LEAST


def test_skin_keeps_its_order_down_to_a_chin_that_stays() -> None:
    crossed = shape(0.12)
    column = [PLACE[p] for p in (18, 200, 199, CHIN)]
    found = under_lip(crossed)
    assert bool((found[0, column, 1].diff() > 0).all())
    assert torch.equal(found[:, PLACE[CHIN]], crossed[:, PLACE[CHIN]])
    others = [n for n in range(len(PLACE)) if n not in places(BELOW)]
    assert torch.equal(found[:, others], crossed[:, others])


def test_a_face_in_order_stays_as_it_is() -> None:
    ordered = shape(0.0)
    assert torch.equal(under_lip(ordered), ordered)


def test_a_tracked_head_has_its_skin_under_its_lips() -> None:
    heads = fit_heads(face(0.12), mean_skull(face()))
    assert float(_room(heads.shape).min()) > 0.8 * LEAST


def test_a_wanted_mouth_has_its_skin_under_its_lips() -> None:
    heads = replace(fit_heads(face(), mean_skull(face())), shape=shape(0.12))
    now = measure(heads.shape)
    path = MouthPath(now.aperture.double(), now.width.double(), torch.zeros(1).double())
    avatar = SimpleNamespace(bank=None, expression=None, mode="warp+synth", rest_jaw=now.jaw)
    plan = SimpleNamespace(avatar=avatar, first=None, drawn=None, path=path, near=torch.zeros(1))
    wanted = scene._wanted_shape(cast("Plan", plan), heads, torch.zeros(1, dtype=torch.int64))
    assert float(_room(wanted).min()) > 0.8 * LEAST


def test_a_lent_lip_that_is_low_is_laid_without_a_fold() -> None:
    crossed, lender = shape(0.10), shape(0.0)
    torn, whole = (_rows_read(wanted, lender) for wanted in (crossed, under_lip(crossed)))
    assert float(torn.min()) < 0  # so it was: rows read twice and backwards
    assert float(whole.min()) > 0


def _rows_read(wanted: Tensor, lender: Tensor) -> Tensor:
    """Steps from row to row of the lender in the middle of the lip and of the chin, pixels."""
    at, source = (each[..., :2] * 100 + torch.tensor([120.0, 40.0]) for each in (wanted, lender))
    base = warp.carried(at, source, at.device)
    field = warp.mouth_fields(CANVAS, FINE, at, source, torch.zeros(1), base).lower[0]
    return field[:, NODES // 2, 1].diff()
