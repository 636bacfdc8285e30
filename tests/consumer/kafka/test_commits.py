"""What is finished is committed once, again after a refusal, and never waits for one answer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import (
    CommitFailedError,
    IllegalStateError,
    InvalidCommitOffsetSizeError,
    OffsetMetadataTooLargeError,
    RequestTimedOutError,
)

from consumer.kafka import commits
from consumer.kafka.commits import Committer
from consumer.kafka.ledger import Commit, Ledger

PARTITION = TopicPartition("requests", 0)


class Group:
    """Stands where the consumer is, for what no broker does when asked: refusals, and silence."""

    def __init__(self) -> None:
        self.taken: list[dict[TopicPartition, tuple[int, str]]] = []
        self.asked = 0
        self.broken_off = 0
        self.answers: Iterator[Exception | None] = iter(())
        self.silent = False

    async def commit(self, offsets: dict[TopicPartition, tuple[int, str]]) -> None:
        self.asked += 1
        if self.silent:
            try:
                await asyncio.Event().wait()
            finally:
                self.broken_off += 1
        error = next(self.answers, None)
        if error is not None:
            raise error
        self.taken.append(offsets)


class Book:
    """A committer of one partition, whose group is `group`."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.ledger.restore(0)
        self.group = Group()
        self.committer = Committer({PARTITION: self.ledger})
        self.committer._consumer = self.group
        self.committer.restored(PARTITION, Commit(0, "", 0))

    def finish(self, *offsets: int) -> None:
        for offset in offsets:
            self.ledger.admit(offset)
            self.ledger.finish(offset)


@pytest.fixture
async def book() -> Book:
    return Book()


async def test_what_the_group_has_is_not_committed_again(book: Book) -> None:
    assert await book.committer.once(120)
    assert book.group.asked == 0, "it was restored from there"
    book.finish(0, 1)
    assert [await book.committer.once(120) for _ in range(3)] == [True] * 3
    assert book.group.taken == [{PARTITION: (2, "")}]
    book.committer.restored(PARTITION, None)  # somebody deleted the group
    assert await book.committer.once(120)
    assert len(book.group.taken) == 2


@pytest.mark.parametrize(
    "refusal", [CommitFailedError(), IllegalStateError("no member"), RequestTimedOutError()]
)
async def test_a_refused_commit_is_made_again_until_it_is_taken(
    book: Book, refusal: Exception
) -> None:
    book.finish(0)
    book.group.answers = iter((refusal, refusal))
    assert not await book.committer.once(120)
    before = book.ledger._acknowledged
    assert await book.committer.flush(120)
    assert (book.group.asked, book.group.taken) == (3, [{PARTITION: (1, "")}])
    assert (before, book.ledger._acknowledged) == (0, 1)


@pytest.mark.parametrize("refusal", [OffsetMetadataTooLargeError(), InvalidCommitOffsetSizeError()])
async def test_brokers_that_take_no_metadata_get_the_offset_alone(
    book: Book, refusal: Exception
) -> None:
    for offset in (0, 1, 2):
        book.ledger.admit(offset)
    book.ledger.finish(0)
    book.ledger.finish(2)
    book.group.answers = iter((refusal,))
    assert not await book.committer.once(120)
    assert await book.committer.once(120)
    assert book.group.taken == [{PARTITION: (1, "")}]


async def test_a_commit_without_an_answer_is_broken_off(
    book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commits, "TIMEOUT_S", 0.01)
    book.finish(0)
    book.group.silent = True
    assert not await book.committer.once(120)
    assert not await book.committer.flush(0.2)
    await _until(lambda: book.group.broken_off == book.group.asked)
    book.group.silent = False
    assert await book.committer.flush(120)


async def test_a_partition_that_goes_breaks_off_its_commit(
    book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sent again later, it would be another owner's."""
    monkeypatch.setattr(commits, "TIMEOUT_S", 600.0)
    book.finish(0)
    book.group.silent = True
    committing = asyncio.create_task(book.committer.once(120))
    await _until(lambda: book.group.asked == 1)
    book.committer.abort()
    assert not await committing
    assert (book.group.broken_off, book.group.taken) == (1, [])


async def test_it_commits_by_itself_and_rests_when_there_is_nothing_to_commit(
    book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commits, "RETRY_S", 0.01)
    book.group.answers = iter((RequestTimedOutError(),))
    book.committer.start(book.group)
    book.finish(0)
    book.committer.soon()
    await _until(lambda: len(book.group.taken) == 1)
    await _until(lambda: not book.committer._wake.is_set())
    book.finish(1)
    book.committer.soon()
    await _until(lambda: len(book.group.taken) == 2)
    await book.committer.stop()
    assert book.group.taken[-1] == {PARTITION: (2, "")}


async def _until(what: Any) -> None:
    async with asyncio.timeout(120):
        while not what():
            await asyncio.sleep(0.005)
