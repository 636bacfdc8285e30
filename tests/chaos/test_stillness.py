"""What a machine that stood still takes from each record."""

from __future__ import annotations

import pytest

from tests.chaos.stillness import joined, stood_s


def test_moments_on_several_processors_count_once() -> None:
    spans = [(5.0, 6.0), (1.0, 2.0), (1.5, 3.0), (1.6, 1.7)]
    assert joined(spans) == [(1.0, 3.0), (5.0, 6.0)]


@pytest.mark.parametrize(
    ("begin", "end", "stood"),
    [(0.0, 1.0, 0.0), (0.0, 2.0, 1.0), (2.5, 5.5, 1.0), (0.0, 9.0, 3.0), (3.0, 5.0, 0.0)],
)
def test_only_what_lies_within_a_record_s_time_counts(
    begin: float, end: float, stood: float
) -> None:
    assert stood_s([(1.0, 3.0), (5.0, 6.0)], begin, end) == pytest.approx(stood)
