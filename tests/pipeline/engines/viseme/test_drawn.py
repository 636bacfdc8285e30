"""Lent mouths are drawn beyond what is asked, by how far their lenders were off."""

from __future__ import annotations

import torch

from pipeline.engines.viseme.drawn import drawn


def test_a_mouth_as_open_as_asked_is_drawn_as_asked() -> None:
    asked = torch.linspace(0, 0.25, 26)
    assert torch.equal(drawn(asked, asked), asked)


def test_opened_mouths_are_drawn_wider_and_closed_ones_narrower() -> None:
    asked = torch.full((4,), 0.08)
    wider, little, narrower, less = drawn(asked, torch.tensor([0.04, 0.07, 0.14, 0.10])) - asked
    assert 0.01 < wider < 0.015
    assert 0 < little < wider
    assert -0.015 < narrower < less < 0


def test_closed_lips_stay_closed_and_slits_are_never_narrowed() -> None:
    lent = torch.linspace(0, 0.25, 26)
    assert (drawn(torch.zeros(26), lent) == 0).all()
    for slit in (0.005, 0.015, 0.03):
        assert (drawn(torch.full((26,), slit), lent) >= slit).all()


def test_a_wider_asked_mouth_is_drawn_wider_by_every_lender() -> None:
    asked = torch.linspace(0, 0.3, 301)
    for lent in torch.linspace(0, 0.25, 26):
        assert (drawn(asked, lent.expand(301)).diff() > 0).all()


def test_nothing_is_added_beyond_what_speech_opens() -> None:
    asked = torch.tensor([0.2, 0.3])
    assert torch.equal(drawn(asked, torch.zeros(2)), asked)
