"""Long speeches are cut where nobody speaks."""

from __future__ import annotations

import torch

from pipeline.speech.mel import hear
from pipeline.speech.phones import blocks
from tests.pipeline.speech.sounds import demo, silence


def test_long_speech_is_decoded_in_blocks_that_cut_in_pauses() -> None:
    one = torch.cat([demo().samples, silence(0.6)])
    sound = one.repeat(6)
    _, level = hear(sound)
    cuts = list(blocks(level))
    assert all(1000 <= stop - start <= 2000 for start, stop in cuts[:-1])
    assert [a[1] for a in cuts[:-1]] == [b[0] for b in cuts[1:]]
    assert all(float(level[stop]) < -55 for _, stop in cuts[:-1])
