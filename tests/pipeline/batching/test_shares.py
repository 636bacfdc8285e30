"""Every job gets its fair share of a batch, in order, and late ones go first."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.batching.shares import URGENT_TURNS, Shares

BUCKETS = (2, 4, 8)


def test_full_batch_is_due_at_once_and_a_lonely_frame_after_the_longest_wait() -> None:
    shares: Shares[int] = Shares(BUCKETS, 0.01)
    line = shares.join()
    assert shares.wait_s(0.0) is None
    shares.put(line, [1], now=5.0)
    assert shares.wait_s(5.0) == pytest.approx(0.01)
    assert shares.wait_s(5.02) == 0.0
    shares.put(line, range(7), now=5.0)
    assert shares.wait_s(5.0) == 0.0


def test_job_that_offers_much_gets_no_more_than_one_that_offers_little() -> None:
    shares: Shares[str] = Shares(BUCKETS, 0.01)
    greedy, modest = shares.join(), shares.join()
    shares.put(greedy, ["g"] * 1000, now=0.0)
    shares.put(modest, ["m"] * 4, now=0.0)
    assert [item for _, item in shares.take(0.0)].count("m") == 4


def test_frames_of_a_job_lie_side_by_side_in_a_batch() -> None:
    shares: Shares[int] = Shares(BUCKETS, 0.01)
    for first in (0, 10, 20):
        shares.put(shares.join(), range(first, first + 4), now=0.0)
    assert [item for _, item in shares.take(0.0)] == [0, 1, 2, 10, 11, 12, 20, 21]


def test_who_had_fewer_places_in_a_batch_comes_first_in_the_next() -> None:
    shares: Shares[str] = Shares(BUCKETS, 0.01)
    for name in "abc":
        shares.put(shares.join(), [name] * 100, now=0.0)
        shares.join()  # who has nothing takes no turn
    taken = [[item for _, item in shares.take(0.0)] for _ in range(3)]
    assert [batch.count("c") for batch in taken] == [2, 3, 3]
    assert [sum(batch.count(name) for batch in taken) for name in "abc"] == [8, 8, 8]


def test_places_that_nobody_else_wants_go_to_who_has_frames() -> None:
    shares: Shares[int] = Shares(BUCKETS, 0.01)
    shares.join()
    busy = shares.join()
    shares.put(busy, range(20), now=0.0)
    assert [item for _, item in shares.take(0.0)] == list(range(8))


def test_job_near_its_deadline_goes_first_and_starves_nobody() -> None:
    shares: Shares[str] = Shares((10,), 0.01)
    calm, late = shares.join(deadline=1e9), shares.join(deadline=105.0)
    for line, name in ((calm, "c"), (late, "l")):
        shares.put(line, [name] * 100, now=0.0)
    early = [item for _, item in shares.take(now=0.0)]
    assert early.count("c") == early.count("l") == 5
    near = [item for _, item in shares.take(now=100.0)]
    assert near.count("l") == 2 * URGENT_TURNS
    assert near.count("c") == 2


def test_frames_that_did_not_run_come_again_first_and_in_order() -> None:
    shares: Shares[int] = Shares(BUCKETS, 0.01)
    one, two = shares.join(), shares.join()
    shares.put(one, range(6), now=0.0)
    shares.put(two, range(10, 16), now=0.0)
    batch = shares.take(0.0)
    assert shares.shrink()
    shares.leave(two)
    shares.put_back(batch, now=0.0)
    assert shares.limit == 4
    assert shares.wait_s(0.0) == 0.0
    assert [item for _, item in shares.take(0.0)] == [0, 1, 2, 3]
    assert [item for _, item in shares.take(0.0)] == [4, 5]


def test_batch_of_one_cannot_shrink() -> None:
    shares: Shares[int] = Shares((2,), 0.01)
    assert shares.shrink()
    assert not shares.shrink()
    assert shares.limit == 1


@pytest.mark.parametrize("buckets", [(), (0, 1), (4, 2), (2, 2)])
def test_buckets_that_are_not_ascending_sizes_are_refused(buckets: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="ascending"):
        Shares(buckets, 0.01)


@given(
    offers=st.lists(st.tuples(st.integers(0, 3), st.integers(1, 12)), max_size=40),
    late=st.sets(st.integers(0, 3)),
    drops=st.sets(st.integers(0, 39)),
)
def test_every_frame_runs_once_and_in_its_jobs_order(
    offers: list[tuple[int, int]], late: set[int], drops: set[int]
) -> None:
    """Whatever is offered, in whatever mix of urgency, with batches that fail in between."""
    shares: Shares[tuple[int, int]] = Shares(BUCKETS, 0.01)
    lines = [shares.join(deadline=0.0 if n in late else None) for n in range(4)]
    given_out, ran = [0] * 4, [[-1] for _ in range(4)]
    for n, count in offers:
        start, given_out[n] = given_out[n], given_out[n] + count
        shares.put(lines[n], [(n, k) for k in range(start, given_out[n])], now=0.0)
    turn = 0
    while shares.wait_s(1.0) is not None:
        batch = shares.take(1.0)
        assert 0 < len(batch) <= shares.limit
        if turn in drops and shares.shrink():
            shares.put_back(batch, 1.0)
        else:
            for line, (n, k) in batch:
                assert line is lines[n]
                assert k == ran[n][-1] + 1
                ran[n].append(k)
        turn += 1
    assert [len(done) - 1 for done in ran] == given_out
