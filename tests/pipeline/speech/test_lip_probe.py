"""The second vote for closed lips."""

from __future__ import annotations

import itertools

import pytest
import torch

from pipeline.speech.conformer import network
from pipeline.speech.lip_probe import CLOSED, OPEN, LipOdds, lip_reading
from pipeline.speech.mel import hear
from pipeline.speech.phones import PhoneSpan
from pipeline.speech.recogniser import _Named, _reread, recognise
from pipeline.speech.visemes import LIPS_CLOSED
from tests.pipeline.speech.sounds import demo

FRAMES = 60


def odds(teeth: dict[int, float] | None = None, **at: float) -> LipOdds:
    """Lips open everywhere but for some frames: `f20=3.0`."""
    closed = torch.full((FRAMES,), OPEN - 2)
    bitten = closed.clone()
    for name, value in at.items():
        closed[int(name[1:])] = value
    for frame, value in (teeth or {}).items():
        bitten[frame] = value
    return LipOdds(closed, bitten)


def named(*phones: tuple[str, float]) -> list[_Named]:
    return [_Named(name, at) for name, at in phones]


def read(found: list[_Named]) -> str:
    return " ".join(one.name for one in found)


def test_a_b_that_was_named_n_between_vowels_closes_the_lips() -> None:
    heard = named(("AA", 0.30), ("N", 0.40), ("AA", 0.52))
    found = _reread(heard, odds(f20=CLOSED + 1), 0.0)
    assert read(found) == "AA B AA"
    assert found[1].centre == pytest.approx(0.40)


def test_a_closure_that_was_named_already_is_not_doubled() -> None:
    heard = named(("AA", 0.30), ("M", 0.43), ("AA", 0.52))
    assert read(_reread(heard, odds(f20=CLOSED + 1), 0.0)) == "AA M AA"


def test_a_closure_that_the_inner_blocks_deny_is_left_out() -> None:
    heard = named(("AA", 0.30), ("M", 0.40), ("AA", 0.52))
    assert read(_reread(heard, odds(), 0.0)) == "AA AA"
    assert read(_reread(heard, odds(f21=OPEN + 0.1), 0.0)) == "AA M AA"


def test_an_f_stays_where_the_inner_blocks_hear_lips_and_only_there() -> None:
    heard = named(("AA", 0.30), ("F", 0.40), ("AA", 0.52))
    assert read(_reread(heard, odds(), 0.0)) == "AA AA"
    assert read(_reread(heard, odds(teeth={21: OPEN + 0.5}), 0.0)) == "AA F AA"
    assert read(_reread(heard, odds(f21=OPEN + 0.1), 0.0)) == "AA F AA"


def test_an_m_needs_closed_lips_not_teeth() -> None:
    heard = named(("AA", 0.30), ("M", 0.40), ("AA", 0.52))
    assert read(_reread(heard, odds(teeth={20: 3.0}), 0.0)) == "AA AA"


def test_lips_are_not_shut_where_nobody_speaks() -> None:
    heard = named(
        ("AA", 0.10),
    )
    assert read(_reread(heard, odds(f50=CLOSED + 3), 0.0)) == "AA"
    assert _reread([], odds(f50=CLOSED + 3), 0.0) == []


def test_vowels_beside_a_closure_are_kept() -> None:
    heard = named(("AA", 0.39), ("AA", 0.52))
    assert read(_reread(heard, odds(f20=CLOSED + 1), 0.0)) == "AA B AA"


def test_the_reading_that_ships_finds_the_lips_of_real_speech() -> None:
    """Odds are higher inside the spoken p, b and m than elsewhere in the words."""
    sound = demo().samples
    heard = recognise(sound, hear(sound)[1])
    spans = [s for s in heard.phones if s.name != "SIL"]
    found = lip_reading()(torch.cat(network()(sound).hidden, 1)).closed

    def most(span: PhoneSpan) -> float:
        first = round(span.start * 50)
        return float(found[first : round(span.end * 50) + 1].max())

    shut = [most(s) for s in spans if s.name in LIPS_CLOSED]
    others = [
        most(here)
        for before, here, after in zip(spans, spans[1:], spans[2:], strict=False)
        if not LIPS_CLOSED & {before.name, here.name, after.name}
    ]
    pairs = list(itertools.product(shut, others))
    assert sum(a > b for a, b in pairs) / len(pairs) > 0.9


def test_no_frames_give_no_readings() -> None:
    found = lip_reading()(torch.zeros(0, 576))
    assert found.closed.shape == found.teeth.shape == (0,)


def test_lips_do_not_shut_before_a_w() -> None:
    """The demo says "move with these words": v and z before w, which nearly closes them."""
    sound = demo().samples
    said = [span.name for span in recognise(sound, hear(sound)[1]).phones]
    before = [a for a, b in itertools.pairwise(said) if b == "W"]
    assert len(before) == 2
    assert not set(before) & {"P", "B", "M"}
