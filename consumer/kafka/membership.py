"""What aiokafka 0.14 knows about group membership and has no public name for. One place only.

Held by the tests of tests/integration; `pyproject.toml` pins the minor version.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.cluster import ClusterMetadata
from aiokafka.errors import KafkaError
from aiokafka.protocol.group import SyncGroupRequest

from consumer.background import ended
from consumer.kafka.ledger import Commit

_ANSWER_S = 3.0
_AGAIN_S = 0.1
_NO_GENERATION = -1
_FENCED_INSTANCE_ID = 82  # of the protocol's error codes; aiokafka has no class for it


async def read_commits(
    consumer: AIOKafkaConsumer, partitions: Collection[TopicPartition]
) -> dict[TopicPartition, Commit]:
    """Committed offsets with their metadata (`committed()` leaves the metadata out).

    Waits until the coordinator answers; partitions without a commit are left out.
    """
    found = await _coordinator(consumer).fetch_committed_offsets(list(partitions))
    return {p: Commit(known.offset, known.metadata or "", 0) for p, known in found.items()}


def member_id(consumer: AIOKafkaConsumer) -> str:
    """The id that the group gave to this consumer; "" while it is no member."""
    coordinator = _coordinator(consumer)
    if coordinator is None or coordinator.generation <= 0:
        return ""
    return str(coordinator.member_id)


def place(consumer: AIOKafkaConsumer) -> str:
    """The member id with which this consumer would join; "" when it has none any more."""
    coordinator = _coordinator(consumer)
    return "" if coordinator is None else str(coordinator.member_id)


async def is_fenced(consumer: AIOKafkaConsumer, instance: str, member: str) -> bool:
    """Whether the place of a static member was given to another than the one of this id.

    A sync of no generation changes nothing; the brokers compare who asks before anything else
    (KIP-345). False also when the place is nobody's.

    Raises:
        KafkaError: the coordinator cannot be asked.
        TimeoutError: it does not answer in 3 s.
    """
    coordinator = _coordinator(consumer)
    asked = SyncGroupRequest(coordinator.group_id, _NO_GENERATION, member, instance, [])
    async with asyncio.timeout(_ANSWER_S):
        answer = await coordinator._send_req(asked)
    return bool(answer.error_code == _FENCED_INSTANCE_ID)


async def end_coordination(consumer: AIOKafkaConsumer) -> None:
    """End the background task of the group: this consumer joins no more."""
    await ended(_coordinator(consumer)._coordination_task)


def position(consumer: AIOKafkaConsumer, partition: TopicPartition) -> int | None:
    """The offset that is read next, without waiting; None while it is not known."""
    subscription = consumer._subscription.subscription
    assignment = subscription.assignment if subscription is not None else None
    state = assignment.state_value(partition) if assignment is not None else None
    return int(state.position) if state is not None and state.has_valid_position else None


def coordination_ended(consumer: AIOKafkaConsumer) -> bool:
    """True when a background task of the group has died: this consumer never rejoins.

    Heartbeats, and the look at what is committed, end for good where the group or a topic was
    forbidden for a moment; aiokafka tells of that at every poll, whatever is allowed meanwhile.
    """
    coordinator = _coordinator(consumer)
    if coordinator is None:
        return False
    helpers = (coordinator._heartbeat_task, coordinator._commit_refresh_task)
    return bool(coordinator._coordination_task.done() or any(map(_failed, helpers)))


def check_reading(consumer: AIOKafkaConsumer) -> None:
    """Make sure that a consumer still fetches; its polls would bring nothing, and say nothing.

    Raises:
        KafkaError: the task that fetches ended by an error that nobody foresaw, for good.
    """
    fetching = consumer._fetcher._fetch_task
    if _failed(fetching):
        raise KafkaError("the client fetches no more") from fetching.exception()


async def end_fetching(consumer: AIOKafkaConsumer) -> None:
    """End what a consumer fetches, before it is closed: that waits for these tasks one by one.

    It would raise what they ended by, and leave the rest open: `CancelledError`, which is taken for
    the end of whoever closes, where a fetch that had failed was about to be tried again.
    """
    fetcher = consumer._fetcher
    if fetcher is None:
        return
    # again and again: in a rebalance the client awaits cancelled fetches, and takes ours for theirs
    while left := _unfinished({fetcher._fetch_task, *fetcher._pending_tasks}):
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=_AGAIN_S)
    fetcher._pending_tasks.clear()
    fetcher._fetch_task = asyncio.create_task(asyncio.sleep(0))


async def end_connections(consumer: AIOKafkaConsumer) -> None:
    """Close what a consumer still holds that was stopped, and whose farewell no broker answered."""
    await consumer._client.close()


def _unfinished(tasks: Collection[asyncio.Task[Any]]) -> set[asyncio.Task[Any]]:
    return {task for task in tasks if not task.done()}


def _failed(task: asyncio.Task[None] | None) -> bool:
    ended = task is not None and task.done() and not task.cancelled()
    return task is not None and ended and task.exception() is not None


async def know_topic(consumer: AIOKafkaConsumer, topic: str) -> set[int]:
    """Partitions of an existing topic that the consumer is not subscribed to."""
    partitions: set[int] = await consumer._client._wait_on_metadata(topic)
    return partitions


async def ask_of_topics(consumer: AIOKafkaConsumer) -> None:
    """Ask the brokers of the topics that a consumer reads, and of no others: there may be many.

    Raises:
        KafkaError: no broker answers.
    """
    if not await consumer._client._metadata_update(ClusterMetadata(), consumer.subscription()):
        raise KafkaError("no broker tells of the topics")


async def learn_leaders(consumer: AIOKafkaConsumer) -> None:
    """Ask who leads the partitions now: of a broker that hangs nobody says that others do."""
    await consumer._client.force_metadata_update()


def _coordinator(consumer: AIOKafkaConsumer) -> Any:
    return consumer._coordinator
