"""What aiokafka 0.14 knows about group membership and has no public name for. One place only.

Held by the tests of tests/integration; `pyproject.toml` pins the minor version.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from consumer.ledger import Commit


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


def position(consumer: AIOKafkaConsumer, partition: TopicPartition) -> int | None:
    """The offset that is read next, without waiting; None while it is not known."""
    subscription = consumer._subscription.subscription
    assignment = subscription.assignment if subscription is not None else None
    state = assignment.state_value(partition) if assignment is not None else None
    return int(state.position) if state is not None and state.has_valid_position else None


def coordination_ended(consumer: AIOKafkaConsumer) -> bool:
    """True when the background task of the group has died: this consumer never rejoins."""
    coordinator = _coordinator(consumer)
    return coordinator is not None and bool(coordinator._coordination_task.done())


async def know_topic(consumer: AIOKafkaConsumer, topic: str) -> set[int]:
    """Partitions of an existing topic that the consumer is not subscribed to."""
    partitions: set[int] = await consumer._client._wait_on_metadata(topic)
    return partitions


def _coordinator(consumer: AIOKafkaConsumer) -> Any:
    return consumer._coordinator
