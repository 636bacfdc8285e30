"""A record's time is the producer's to write, and no job may break off over it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from consumer.jobs import Record


def _sent_at(timestamp_ms: int) -> datetime:
    return Record("t", 0, 0, None, b"{}", (), timestamp_ms).sent_at


def test_a_time_is_read_as_milliseconds_since_the_epoch() -> None:
    assert _sent_at(1_700_000_000_500) == datetime(2023, 11, 14, 22, 13, 20, 500_000, tzinfo=UTC)


@pytest.mark.parametrize("timestamp_ms", [-1, -(2**63), 10**15, 2**63 - 1])
def test_a_time_out_of_any_calendar_is_the_nearest_that_there_is(timestamp_ms: int) -> None:
    assert _sent_at(timestamp_ms).year in (1970, 9999)
