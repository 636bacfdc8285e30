"""Promise: a mouth that smiles throughout smiles less where its lips must touch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pipeline.engines.viseme.expression import SHUT_MOST
from pipeline.engines.viseme.features import LEFT, RIGHT, measure
from pipeline.engines.viseme.heads import Heads, fit_heads
from pipeline.engines.viseme.scene import _wanted_shape
from tests.pipeline.engines.viseme import puppet
from tests.pipeline.engines.viseme.jobs import run

NEAR = torch.tensor([0.0, 1.0])
AT = torch.arange(2)


def smiling(heads: Heads) -> Heads:
    shape = heads.shape.clone()
    shape[:, [LEFT, RIGHT], 1] -= 0.1
    return replace(heads, shape=shape)


@pytest.mark.parametrize("mode", ["unit", "warp+synth"])
def test_a_smile_is_drawn_together_in_a_closure_by_who_lends_no_mouth(
    mode: str, tmp_path: Path
) -> None:
    job = run(puppet.talking() if mode == "unit" else puppet.silent(), tmp_path, 0.4)
    plan = job.plan
    assert plan.avatar.mode == mode
    same = torch.full((10,), 0.3)
    path = replace(plan.path, aperture=same * 0, width=same * 2, jaw=same)
    points = torch.stack([puppet.head(puppet.Pose())] * 2)
    heads = smiling(fit_heads(points, plan.avatar.skull))
    found = measure(_wanted_shape(replace(plan, path=path, near=NEAR), heads, AT)).width
    lost = float(found[0] - found[1])
    assert 0.02 < lost <= SHUT_MOST if mode == "warp+synth" else lost == pytest.approx(0)
