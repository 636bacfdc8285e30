"""A replica learns that another live one bears its name, and takes nothing else for one."""

from __future__ import annotations

from consumer.twins import ENOUGH, SENIOR, Twins

SESSION_S = 45.0


class _Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def _after(waits: list[float], instance: str | None = "pod-0") -> Twins:
    """Joined once, and then as another member after each of the seconds."""
    clock = _Clock()
    twins = Twins(instance, SESSION_S, clock)
    twins.joined(replaced=False)
    for seconds in waits:
        clock.now += seconds
        twins.joined(replaced=True)
    return twins


def test_places_that_are_lost_again_and_again_sooner_than_a_session_ends_went_to_a_twin() -> None:
    twins = _after([3.0] * max(ENOUGH))
    assert twins.found.is_set()
    assert "KAFKA_GROUP_INSTANCE_ID = 'pod-0'" in twins.text()


def test_a_few_places_lost_may_have_been_an_operators_doing() -> None:
    assert not _after([3.0] * (min(ENOUGH) - 1)).found.is_set()


def test_sessions_that_ended_by_themselves_are_no_twin() -> None:
    assert not _after([46.0] * 100).found.is_set()


def test_who_was_there_for_long_outlasts_a_newcomer_and_two_seniors_do_not_flap_for_ever() -> None:
    until_the_newcomer_ends = [600.0] + [3.0] * max(ENOUGH)
    assert not _after(until_the_newcomer_ends).found.is_set()
    assert _after([600.0] + [3.0] * (max(ENOUGH) + SENIOR)).found.is_set()


def test_a_member_without_a_name_has_no_twin() -> None:
    assert not _after([3.0] * 100, instance=None).found.is_set()
