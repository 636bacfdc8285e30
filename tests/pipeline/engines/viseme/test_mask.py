"""The bell of the mask is exact and makes no denormal numbers."""

from __future__ import annotations

import torch

from pipeline.engines.viseme.mask import bell


def test_bell_is_exact_as_far_as_it_can_be_seen_and_makes_no_number_too_small_to_be_normal() -> (
    None
):
    far = torch.linspace(-60, 60, 4801)
    made, want = bell(far), torch.exp(-far.double().square())
    assert float((made - want).abs().max()) < 1e-7
    assert float(made.min()) >= torch.finfo(torch.float32).tiny
