"""A record counts as finished when its work has ended well, and comes again when it has not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from structlog.testing import capture_logs

from consumer.jobs import Record
from consumer.kafka.delivery import RawRecord
from consumer.kafka.in_work import InWork
from consumer.kafka.ledger import Ledger, Seen
from tests.consumer.records import make_record

YEAR_S = 366 * 86_400


class Desk:
    """The records in work of one partition, and its book."""

    def __init__(self, see: Callable[[], Awaitable[object]]) -> None:
        async def work(_: RawRecord, record: Record) -> None:
            await see()

        self.ended = asyncio.Event()
        self.work = InWork(work, lambda: None, self.ended.set)
        self.book = Ledger()
        self.book.restore(0)

    def begin(self) -> None:
        assert self.book.admit(0) is Seen.NEW
        self.work.begin(None, make_record(offset=0), self.book)

    def is_to_come_again(self) -> bool:
        commit = self.book.commit()
        assert commit is not None
        return commit.offset == 0 and self.book.admit(0) is Seen.NEW


async def test_a_record_whose_work_ended_is_finished() -> None:
    desk = Desk(lambda: asyncio.sleep(0))
    desk.begin()
    assert len(desk.work) == 1
    await desk.ended.wait()
    assert len(desk.work) == 0
    commit = desk.book.commit()
    assert commit is not None
    assert commit.offset == 1


async def test_a_record_that_waited_long_in_its_topic_is_no_stuck_one() -> None:
    """Behind a queue of hours the alert for stuck jobs named every job."""
    gate = asyncio.Event()
    desk = Desk(gate.wait)
    assert desk.work.oldest_s == 0
    assert desk.book.admit(0) is Seen.NEW
    desk.work.begin(None, make_record(offset=0, timestamp_ms=1), desk.book)
    before = desk.work.oldest_s
    assert 0 <= before < YEAR_S
    assert desk.work.oldest_s >= before
    gate.set()
    await desk.ended.wait()
    assert desk.work.oldest_s == 0


async def test_a_record_whose_work_broke_is_unfinished_and_comes_again() -> None:
    async def break_() -> None:
        raise ValueError("a defect")

    desk = Desk(break_)
    with capture_logs() as said:
        desk.begin()
        await desk.ended.wait()
    assert [line["event"] for line in said] == ["a job ended without a verdict"]
    assert desk.is_to_come_again()


async def test_a_record_that_is_given_up_comes_again_once_its_work_has_let_go() -> None:
    let_go = asyncio.Event()

    async def hold_on() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.05)
            let_go.set()

    desk = Desk(hold_on)
    desk.begin()
    await asyncio.sleep(0)
    assert await desk.work.give_up(120) == 1
    assert let_go.is_set()
    await desk.ended.wait()
    assert desk.is_to_come_again()
    assert await desk.work.give_up(120) == 0


async def test_work_that_does_not_let_go_holds_up_nobody() -> None:
    done = asyncio.Event()

    async def cling() -> None:
        while not done.is_set():
            try:
                await done.wait()
            except asyncio.CancelledError:
                continue

    desk = Desk(cling)
    desk.begin()
    await asyncio.sleep(0)
    assert await desk.work.give_up(0.01) == 1
    done.set()
    await desk.ended.wait()
