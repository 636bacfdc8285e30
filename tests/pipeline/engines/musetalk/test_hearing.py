"""Speech is encoded piece by piece, and each frame hears what it would hear alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import pytest
import torch

from pipeline.engines.musetalk.hearing import _KEEP, PIECE_S, RATE, SpeechTokens, log_mel
from pipeline.engines.musetalk.painter import Painter
from tests.pipeline.engines.musetalk.tiny import WIDTH, tiny_networks


def _speech(seconds: float) -> torch.Tensor:
    return 0.1 * torch.randn(int(seconds * RATE), generator=torch.Generator().manual_seed(1))


def test_pieces_are_encoded_when_needed_and_forgotten_again() -> None:
    speech = SpeechTokens(tiny_networks().whisper, _speech(PIECE_S * 4))
    for start in range(0, 25 * PIECE_S * 4, 250):
        got = speech.frames(Fraction(25), range(start, start + 8))
        assert got.shape == (8, 50, WIDTH)
        assert len(speech._pieces) <= _KEEP
    assert 0 not in speech._pieces


def test_batches_over_a_seam_equal_single_frames() -> None:
    speech = SpeechTokens(tiny_networks().whisper, _speech(PIECE_S + 2))
    seam = 25 * PIECE_S
    batch = speech.frames(Fraction(25), range(seam - 4, seam + 4))
    single = [speech.frames(Fraction(25), range(n, n + 1)) for n in range(seam - 4, seam + 4)]
    assert torch.equal(batch, torch.cat(single))


def test_frames_behind_the_speech_hear_silence() -> None:
    speech = SpeechTokens(tiny_networks().whisper, _speech(0.5))
    assert not speech.frames(Fraction(25), range(60, 64)).any()


def test_speech_without_a_sample_is_silence() -> None:
    speech = SpeechTokens(tiny_networks().whisper, torch.zeros(0))
    assert speech.steps == 0
    assert not speech.frames(Fraction(25), range(3)).any()
    assert log_mel(torch.zeros(0)).shape == (1, 80, 3000)


@pytest.mark.parametrize("seconds", [0.005, 0.02, 0.3])
def test_very_short_speech_works(seconds: float) -> None:
    speech = SpeechTokens(tiny_networks().whisper, _speech(seconds))
    assert torch.isfinite(speech.frames(Fraction(25), range(10))).all()


def test_jobs_that_listen_together_hear_what_each_would_hear_alone() -> None:
    painter = Painter(tiny_networks(), compiled=False)
    whisper = painter.networks.whisper
    speeches = [_speech(seconds) for seconds in (1.0, 2.0, PIECE_S + 1)]

    def heard(samples: torch.Tensor) -> torch.Tensor:
        return SpeechTokens(whisper, samples, painter.listen).frames(Fraction(25), range(24))

    with ThreadPoolExecutor(len(speeches)) as pool:
        found = list(pool.map(heard, speeches))
    for samples, tokens in zip(speeches, found, strict=True):
        want = SpeechTokens(whisper, samples).frames(Fraction(25), range(24))
        assert torch.equal(tokens, want)
