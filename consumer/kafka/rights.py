"""What the brokers allow the service's user to do, against what the service needs.

The same needs as in the operator's book (deploy/runbook.md, "Access"), which a test holds it to.
"""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from consumer.kafka.bulk import reaching
from consumer.settings import Settings

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient

TIMEOUT_S = 10.0


def needed(settings: Settings) -> dict[str, set[str]]:
    """Operations by topic, for `face2face run`."""
    topics = settings.topics
    told = (topics.completed, topics.failed, topics.progress, topics.dlq)
    return {
        topics.requests: {"READ"},
        topics.control: {"READ"},
        topics.retry: {"READ", "WRITE"},
        **{topic: {"WRITE"} for topic in told},
    }


def lacking(settings: Settings) -> list[str]:
    """What is needed and not allowed, such as "Read on topic face2face.requests".

    Blocks for up to `2 * TIMEOUT_S` seconds. Brokers that do not tell are taken at their best.
    """
    from confluent_kafka.admin import AdminClient

    client = AdminClient({**reaching(settings), "log_level": 0})
    return [*_topics(client, needed(settings)), *_group(client, settings.kafka_group)]


def _topics(client: AdminClient, needs: dict[str, set[str]]) -> list[str]:
    from confluent_kafka import TopicCollection

    asked = client.describe_topics(
        TopicCollection([*needs]),
        include_authorized_operations=True,
        request_timeout=TIMEOUT_S,
    )
    lacks: list[str] = []
    for topic, future in asked.items():
        found = _allowed(future)
        if found is not None:
            lacks += _said(needs[topic] - found, f"topic {topic}")
    return lacks


def _group(client: AdminClient, group: str) -> list[str]:
    asked = client.describe_consumer_groups(
        [group], include_authorized_operations=True, request_timeout=TIMEOUT_S
    )
    found = _allowed(asked[group])
    return [] if found is None else _said({"READ"} - found, f"group {group}")


def _allowed(future: Future[Any]) -> set[str] | None:
    """Names of operations; empty where even the question is refused, None where nothing is told."""
    from confluent_kafka import KafkaException

    try:
        operations = future.result(TIMEOUT_S).authorized_operations
    except KafkaException as error:
        return set() if "AUTHORIZATION_FAILED" in error.args[0].name() else None
    except TimeoutError:
        return None
    return None if operations is None else {each.name for each in operations}


def _said(operations: set[str], where: str) -> list[str]:
    return (
        [f"{' and '.join(sorted(o.title() for o in operations))} on {where}"] if operations else []
    )
