"""What pocketsphinx hears covers the whole sound, and known words are aligned."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch

from pipeline.speech import sphinx
from pipeline.speech.align import align
from pipeline.speech.mel import hear
from pipeline.speech.phones import NEUTRAL, SILENCE, PhoneSpan, agree, blocks, merge
from pipeline.speech.sphinx import recognise
from tests.pipeline.speech.sounds import DEMO_TEXT, demo, music, noise, silence


def covers(spans: list[PhoneSpan], samples: int) -> bool:
    joined = all(abs(a.end - b.start) < 1e-9 for a, b in itertools.pairwise(spans))
    return joined and spans[0].start == 0 and spans[-1].end >= samples / 16_000


def test_the_demo_words_are_heard_as_phones() -> None:
    sound = demo().samples
    _, level = hear(sound)
    spans = recognise(sound, level)
    assert covers(spans, sound.numel())
    names = [span.name for span in spans if span.name != SILENCE]
    assert len(names) > 55
    assert set(names) >= {"P", "M", "S", "F", "L", "IY", "AE"}


def test_a_block_that_cannot_be_decoded_costs_that_block_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made, real = itertools.count(), sphinx.new_decoder

    def new_decoder(**settings: Any) -> Any:
        narrow = {"beam": 1.0, "pbeam": 1.0} if next(made) == 1 else {}  # no path survives
        return real(**{**settings, **narrow})

    sound = torch.cat([demo().samples, silence(0.6)]).repeat(6)
    _, level = hear(sound)
    first, second = list(blocks(level))[:2]
    monkeypatch.setattr(sphinx, "new_decoder", new_decoder)
    spans = recognise(sound, level)
    assert covers(spans, sound.numel())
    lost = [s for s in spans if first[1] / 100 <= s.start and s.end <= second[1] / 100]
    assert len(lost) < 12
    kept = [s for s in spans if s.start >= second[1] / 100 or s.end <= first[1] / 100]
    assert len(kept) > 230


@pytest.mark.parametrize("samples", [0, 1, 480, 1600, 3200])
def test_any_length_is_covered(samples: int) -> None:
    sound = demo().samples[10_000 : 10_000 + samples]
    _, level = hear(sound)
    assert covers(recognise(sound, level), samples)


def test_silence_noise_and_music_do_not_break_it() -> None:
    for sound in (silence(2.0), noise(2.0, 0.3), music(3.0), (demo().samples * 50).clamp(-1, 1)):
        _, level = hear(sound)
        spans = recognise(sound, level)
        assert covers(spans, sound.numel())
        assert all(span.name.isalpha() for span in spans)


def test_fillers_become_a_neutral_vowel_and_silence_stays_silence() -> None:
    found = [("<sil>", 9), ("+SPN+", 19), ("+NSN+", 29), ("AA", 39), ("SIL", 49)]
    spans = merge(sphinx._shifted(found, 2.0, 2.5))
    assert [span.name for span in spans] == [SILENCE, NEUTRAL, "AA", SILENCE]
    assert spans[0].start == 2.0
    assert spans[-1].end == 2.5


def test_known_words_are_aligned_with_every_closure_in_place() -> None:
    sound = demo().samples
    _, level = hear(sound)
    spans = align(sound, level, DEMO_TEXT)
    assert spans is not None
    assert covers(spans, sound.numel())
    # lips, move, my, people, maps, movies
    assert [s.name for s in spans if s.name in "PBM"] == list("MPMPPMPM")
    assert agree(spans, recognise(sound, level), level.numel()) > 0.68


@pytest.mark.parametrize(
    "text",
    ["", "  …  ", "你好世界", "hello zzqqxv", "call 112", "the weather was rather nice " * 4],
)
def test_a_text_that_does_not_fit_is_not_aligned(text: str) -> None:
    sound = demo().samples
    _, level = hear(sound)
    assert align(sound, level, text) is None


def test_no_text_is_aligned_to_silence() -> None:
    _, level = hear(silence(2.0))
    assert align(silence(2.0), level, "hello") is None
