"""Pieces of frames."""

from __future__ import annotations

import torch

from pipeline.engines.viseme.patch import cut
from tests.pipeline.writing.calls import frame_of


def test_a_piece_holds_no_whole_picture_in_memory() -> None:
    """As mouths that lend are gathered by the dozen before they travel to a device."""
    piece = cut(frame_of(0, 1280, 720), 640, 360, 64, 32)
    assert piece.luma.shape == (1, 1, 32, 64)
    assert torch.equal(piece.luma[0, 0], frame_of(0, 1280, 720).y[360:392, 640:704])
    assert piece.luma.untyped_storage().nbytes() == 64 * 32
    assert piece.chroma.untyped_storage().nbytes() == 64 * 32 // 2
