"""The ledger against a model of one partition, its group and two replicas that crash and trade it.

`F2F_LEDGER_STEPS=100000` makes the long run take that many steps (default 4,000).
"""

from __future__ import annotations

import base64
import os
import random
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consumer.kafka.ledger import Commit, Ledger, Seen
from consumer.kafka.offset_runs import MAX_METADATA_BYTES, OffsetRuns, pack, unpack
from tests.support.partition_model import LedgerMachine, Partition, random_step

TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(
    max_examples=60,
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)


def test_the_ledger_holds_over_a_long_life() -> None:
    steps = int(os.environ.get("F2F_LEDGER_STEPS", "4000"))
    seed = int(os.environ.get("F2F_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
    dice = random.Random(seed)
    partition = Partition()
    for step in range(steps):
        if step % 2000 == 0:  # a new log now and then: the model's own checks grow with the log
            partition = Partition()
        try:
            random_step(partition, dice)
            partition.check()
        except AssertionError as error:
            raise AssertionError(f"F2F_SEED={seed}, step {step}: {error}") from error


def _take(ledger: Ledger, *offsets: int) -> None:
    for offset in offsets:
        assert ledger.admit(offset) is Seen.NEW


def test_only_the_unfinished_of_three_is_taken_again_after_a_crash() -> None:
    ledger = Ledger()
    _take(ledger, 1, 2, 3)
    ledger.finish(3)
    ledger.finish(2)
    commit = ledger.commit()
    assert commit is not None
    assert commit.offset == 1
    after = Ledger()
    after.restore(commit.offset, commit.metadata)
    assert [after.admit(o) for o in (1, 2, 3)] == [Seen.NEW, Seen.FINISHED, Seen.FINISHED]
    after.finish(1)
    assert after.commit() == Commit(4, "", 0)


def test_a_running_record_that_comes_again_is_not_started_again() -> None:
    ledger = Ledger()
    ledger.restore(7)
    _take(ledger, 7)
    ledger.restore(7)
    assert ledger.admit(7) is Seen.RUNNING


def test_a_record_that_runs_here_though_others_finished_it_is_not_started_again_when_set_back() -> (
    None
):
    ledger = Ledger()
    ledger.restore(5)
    _take(ledger, 5)
    ledger.restore(6)  # another replica took it over
    ledger.rejoined()
    ledger.restore(5)  # an operator wants it again
    assert ledger.admit(5) is Seen.RUNNING
    ledger.passed(6)
    assert ledger.commit() == Commit(5, "", 0)
    ledger.finish(5)
    assert ledger.commit() == Commit(6, "", 0)


def test_a_record_that_another_replica_finished_no_longer_holds_the_commit_back() -> None:
    ledger = Ledger()
    ledger.restore(5)
    _take(ledger, 5, 6)
    ledger.restore(9)
    assert ledger.running == frozenset()
    ledger.finish(5)  # ends here too, later; nothing is left to enter
    assert ledger.commit() == Commit(9, "", 0)


def test_a_log_that_was_cut_is_read_again() -> None:
    ledger = Ledger()
    ledger.restore(100)
    assert ledger.admit(0) is Seen.NEW
    ledger.finish(0)
    assert ledger.commit() == Commit(1, "", 0)


def test_what_ended_while_the_group_had_no_commit_is_committed_when_it_comes_again() -> None:
    ledger = Ledger()
    ledger.restore(None)
    _take(ledger, 0, 1)
    ledger.rejoined()  # before the first commit
    ledger.restore(None)
    ledger.finish(0)
    ledger.finish(1)
    assert [ledger.admit(o) for o in (0, 1)] == [Seen.FINISHED, Seen.FINISHED]
    ledger.passed(2)
    assert ledger.commit() == Commit(2, "", 0)


def test_offsets_that_hold_no_record_are_committed_once_they_are_passed() -> None:
    ledger = Ledger()
    ledger.restore(3)
    _take(ledger, 3, 4)
    assert ledger.passed(6)
    assert not ledger.passed(6)
    assert ledger.commit() == Commit(3, "", 0)
    ledger.finish(3)
    ledger.finish(4)
    assert ledger.commit() == Commit(6, "", 0)


def test_metadata_of_others_is_ignored() -> None:
    for text in ("", "hello", "f2f1r:!!!", "f2f1z:AAAA", "f2f9r:AQE=", "f2f1r:AQ==", "f2f1r:gA=="):
        ledger = Ledger()
        ledger.restore(3, text)
        assert ledger.admit(4) is Seen.NEW, text


@given(
    st.integers(0, 2**62),
    st.lists(st.tuples(st.integers(1, 10**6), st.integers(1, 10**6)), max_size=60),
)
def test_packed_runs_come_back(position: int, gaps: list[tuple[int, int]]) -> None:
    runs, at = [], position
    for gap, length in gaps:
        runs.append((at + gap, at + gap + length))
        at += gap + length
    text, left_out = pack(position, runs)
    assert left_out == 0
    assert unpack(position, text) == runs


def test_what_does_not_fit_is_left_out_and_said() -> None:
    dice = random.Random(1)
    runs, at = [], 0
    for _ in range(20_000):
        at += dice.randrange(1, 10**6)
        runs.append((at, at + 1))
        at += 1
    text, left_out = pack(0, runs)
    assert len(text) <= MAX_METADATA_BYTES
    kept = unpack(0, text)
    assert kept == runs[: len(kept)]
    assert len(kept) == len(runs) - left_out
    assert len(kept) > 500


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(1, 8)), max_size=30), st.integers(0, 70))
def test_runs_are_a_set_of_offsets(added: list[tuple[int, int]], cut: int) -> None:
    runs = OffsetRuns()
    plain: set[int] = set()
    for start, length in added:
        runs.add(start, start + length)
        plain |= set(range(start, start + length))
    assert {o for o in range(80) if o in runs} == plain
    assert len(runs) == len(plain)
    pairs = list(runs)
    assert all(end < start for (_, end), (start, _) in pairwise(pairs))
    assert {o for s, e in runs.above(cut) for o in range(s, e)} == {o for o in plain if o > cut}
    runs.discard_below(cut)
    assert {o for o in range(80) if o in runs} == {o for o in plain if o >= cut}


@pytest.mark.parametrize("text", ["f2f1z:" + "A" * 4000, "f2f1r:" + "f39/" * 900])
def test_hostile_metadata_costs_little(text: str) -> None:
    assert isinstance(unpack(0, text), list)


@pytest.mark.parametrize(
    "numbers",
    [
        (0, 5),  # the committed record itself, which is not finished
        (1, 0),
        (1, 2**63),
        (2**62, 2**62),
        (1, 1, 0, 1),
    ],
)
def test_metadata_that_no_ledger_writes_finishes_nothing(numbers: tuple[int, ...]) -> None:
    body = bytearray()
    for number in numbers:
        while number >= 0x80:
            body.append(number & 0x7F | 0x80)
            number >>= 7
        body.append(number)
    text = "f2f1r:" + base64.b64encode(body).decode()
    assert unpack(7, text) == []
    ledger = Ledger()
    ledger.restore(7, text)
    assert [ledger.admit(o) for o in (7, 8)] == [Seen.NEW, Seen.NEW]
    ledger.finish(7)
    assert ledger.commit() == Commit(8, "", 0)
