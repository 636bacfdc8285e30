"""Of two replicas that bear one name exactly one ends."""

from __future__ import annotations

import pytest

from consumer.kafka.duplicate_member import Twins

SESSION_S = 45.0


class _Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> _Clock:
    return _Clock()


@pytest.fixture
def twins(clock: _Clock) -> Twins:
    twins = Twins("pod-0", SESSION_S, clock)
    twins.joined()
    return twins


def test_a_newcomer_whose_place_was_taken_back_ends_and_names_the_setting(
    twins: Twins, clock: _Clock
) -> None:
    clock.now += SESSION_S - 1
    assert twins.fenced()
    assert twins.found.is_set()
    assert "KAFKA_GROUP_INSTANCE_ID = 'pod-0'" in twins.text()


def test_who_was_there_for_a_session_takes_the_place_back_and_keeps_it_for_no_second_time(
    twins: Twins, clock: _Clock
) -> None:
    clock.now += SESSION_S
    assert not twins.fenced()
    assert not twins.found.is_set()
    twins.joined()
    clock.now += 1
    assert twins.fenced()


def test_who_takes_the_place_back_after_another_session_was_there_for_long_again(
    twins: Twins, clock: _Clock
) -> None:
    for _ in range(3):
        clock.now += SESSION_S
        assert not twins.fenced()
        twins.joined()


def test_who_is_leaving_takes_no_place_back_however_long_it_was_there(
    twins: Twins, clock: _Clock
) -> None:
    clock.now += 10 * SESSION_S
    twins.leaving()
    assert twins.fenced()
