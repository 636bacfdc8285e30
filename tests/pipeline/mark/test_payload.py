"""The code word of a job: mended where bits are wrong, and never read out of noise."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.mark.payload import BITS, codeword, decode, job_digest, least_likeness, likeness

DIGEST = job_digest("order-4711")


def _soft(digest: str = DIGEST) -> np.ndarray:
    return codeword(digest) * 2.0 - 1


def test_another_job_has_another_digest_and_a_word_far_away() -> None:
    assert job_digest("order-4711") != job_digest("order-4712")
    apart = int((codeword(DIGEST) != codeword(job_digest("order-4712"))).sum())
    assert 0.3 < apart / BITS < 0.7


@pytest.mark.parametrize("wrong", [0, 8])
def test_digest_is_read_with_that_many_wrong_symbols(wrong: int) -> None:
    soft = _soft()
    soft[: 5 * wrong : 5] *= -1
    assert decode(soft) == DIGEST


def test_more_wrong_symbols_are_mended_where_they_are_known_to_be_doubtful() -> None:
    soft = _soft()
    soft[5 * 20 :: 5] *= -0.1
    assert decode(soft) == DIGEST
    soft[5 * 20 :: 5] *= 10
    assert decode(soft) is None


def test_nothing_is_read_out_of_noise() -> None:
    rng = np.random.default_rng(11)
    assert all(decode(rng.normal(size=BITS)) is None for _ in range(300))


def test_no_even_picture_says_a_word() -> None:
    for value in (-1.0, 0.0, 1.0):
        assert decode(np.full(BITS, value)) is None


def test_likeness_of_its_own_word_is_beyond_chance_and_of_others_is_not() -> None:
    rng = np.random.default_rng(5)
    soft = _soft() + rng.normal(0, 1.2, BITS)
    words = np.array([codeword(job_digest(f"job-{n}")) for n in range(500)], np.int8) * 2 - 1
    own = codeword(DIGEST)[None].astype(np.int8) * 2 - 1
    least = least_likeness(500, 1e-7)
    assert likeness(soft, own)[0] > least
    assert likeness(soft, words).max() < least
    assert likeness(np.zeros(BITS), own)[0] == 0


def test_words_of_others_reach_the_least_likeness_no_oftener_than_promised() -> None:
    """The bound holds for unequal weights, too, and is not so loose that it costs marks."""
    rng = np.random.default_rng(5)
    words = rng.integers(0, 2, (40_000, BITS)).astype(np.int8) * 2 - 1
    for soft in (rng.normal(size=BITS), rng.exponential(size=BITS) ** 2, np.ones(BITS)):
        scores = likeness(soft, words)
        for chance in (0.1, 0.01, 0.001):
            share = float((scores >= least_likeness(1, chance)).mean())
            assert 0.1 * chance < share < chance
