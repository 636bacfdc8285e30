"""`face2face topics apply`: brings the brokers to what `deploy/topics.yaml` says.

Makes missing topics, adds partitions, sets configs. Never removes anything. Two steps, so that
`--dry-run` shows exactly what would be done: `plan` reads, `apply` writes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Literal

from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import for_code

from consumer.kafka.client import connection
from consumer.kafka.connecting import reach
from consumer.kafka.topics_file import WantedTopic
from consumer.settings import Settings

VISIBLE_TIMEOUT_S = 30.0
CONFIGURED_TIMEOUT_S = 10.0
"""A change is in the controller's log at once, and in every broker's metadata a little later."""
_TOPIC_EXISTS = 36
_DYNAMIC_TOPIC_CONFIG = 1
"""`config_source` of a value that was set on the topic itself (DescribeConfigs v1 and later)."""


@dataclass(frozen=True, slots=True)
class Change:
    """What one topic needs."""

    topic: str
    action: Literal["create", "grow", "configure", "keep"]
    partitions: int
    found_partitions: int | None = None
    config: Mapping[str, str] = field(default_factory=dict)
    """Values to set; for `configure` only those that differ."""
    found_config: Mapping[str, str | None] = field(default_factory=dict)
    """What stands there now for the keys of `config`."""


@asynccontextmanager
async def admin(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    """A connected admin client.

    Raises:
        ClientFailed: no broker can be used.
    """
    client = AIOKafkaAdminClient(**connection(settings))
    try:
        await reach(settings, client.start())
        yield client
    finally:
        await client.close()


async def brokers(client: AIOKafkaAdminClient) -> int:
    """How many brokers are alive."""
    return len((await client.describe_cluster())["brokers"])


async def partitions(client: AIOKafkaAdminClient) -> dict[str, int]:
    """Every topic and how many partitions it has."""
    return {topic["topic"]: len(topic["partitions"]) for topic in await client.describe_topics()}


async def plan(
    client: AIOKafkaAdminClient, wanted: Mapping[str, WantedTopic], replication_factor: int
) -> list[Change]:
    """What each topic needs, in the order of `wanted`; a topic may need to grow and to configure.

    `min.insync.replicas` follows the replication factor, unless the file names it.
    """
    found = await partitions(client)
    there = [name for name in wanted if name in found]
    configs = await _configs(client, there)
    in_sync = {"min.insync.replicas": str(max(1, replication_factor - 1))}
    changes: list[Change] = []
    for name, topic in wanted.items():
        if name not in found:
            changes.append(
                Change(name, "create", topic.partitions, config={**in_sync, **topic.config})
            )
        else:
            changes += _differences(name, topic, found[name], configs[name])
    return changes


def _differences(
    name: str, topic: WantedTopic, partitions: int, config: Mapping[str, str | None]
) -> list[Change]:
    changes = []
    if partitions < topic.partitions:
        changes.append(Change(name, "grow", topic.partitions, partitions))
    differing = {key: value for key, value in topic.config.items() if config.get(key) != value}
    if differing:
        before = {key: config.get(key) for key in differing}
        changes.append(
            Change(
                name, "configure", max(partitions, topic.partitions), partitions, differing, before
            )
        )
    return changes or [Change(name, "keep", partitions, partitions)]


async def apply(
    client: AIOKafkaAdminClient, changes: Sequence[Change], replication_factor: int
) -> None:
    """Carry out a plan, and return when the brokers show it. Doing it twice changes nothing more.

    Raises:
        KafkaError: the brokers refused a change; the text names the topic.
        TimeoutError: the brokers took it, and do not show it after `VISIBLE_TIMEOUT_S`.
    """
    new = [
        NewTopic(c.topic, c.partitions, replication_factor, topic_configs=dict(c.config))
        for c in changes
        if c.action == "create"
    ]
    if new:
        response = await client.create_topics(new)
        for name, code, *message in response.topic_errors:
            if code not in (0, _TOPIC_EXISTS):
                raise for_code(code)(f"{name}: {(message or [''])[0]}")
    growing = {c.topic: NewPartitions(c.partitions) for c in changes if c.action == "grow"}
    if growing:
        await client.create_partitions(growing)
    configured = [c for c in changes if c.action == "configure"]
    await _configure(client, configured)
    await _until_configured(client, configured)
    expected = {c.topic: c.partitions for c in changes}
    async with asyncio.timeout(VISIBLE_TIMEOUT_S):
        while not expected.items() <= (await partitions(client)).items():
            await asyncio.sleep(0.1)


async def _configure(client: AIOKafkaAdminClient, changes: Sequence[Change]) -> None:
    if not changes:
        return
    # AlterConfigs replaces all values of a topic: those set by others are read and sent along.
    own = await _configs(client, [c.topic for c in changes], own_only=True)
    resources = [
        ConfigResource(
            ConfigResourceType.TOPIC, c.topic, configs={**own[c.topic], **dict(c.config)}
        )
        for c in changes
    ]
    for response in await client.alter_configs(resources):
        for code, message, _, name in response.resources:
            if code:
                raise for_code(code)(f"{name}: {message}")


async def _until_configured(client: AIOKafkaAdminClient, changes: Sequence[Change]) -> None:
    """Wait until the brokers show the values; not for ever: they may write one in another way."""
    names = [c.topic for c in changes]
    with suppress(TimeoutError):
        async with asyncio.timeout(CONFIGURED_TIMEOUT_S):
            while True:
                shown = await _configs(client, names)
                if all(c.config.items() <= shown[c.topic].items() for c in changes):
                    return
                await asyncio.sleep(0.1)


async def _configs(
    client: AIOKafkaAdminClient, names: Sequence[str], *, own_only: bool = False
) -> dict[str, dict[str, str | None]]:
    if not names:
        return {}
    asked = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    found: dict[str, dict[str, str | None]] = {}
    for response in await client.describe_configs(asked):
        for code, message, _, name, entries in response.resources:
            if code:
                raise for_code(code)(f"{name}: {message}")
            found[name] = {entry[0]: entry[1] for entry in entries if not own_only or _own(entry)}
    return found


def _own(entry: Sequence[Any]) -> bool:
    """True for a value set on the topic itself.

    Args:
        entry: name, value, read only, source (in version 0: whether it is a default), …
    """
    source = entry[3]
    return not source if isinstance(source, bool) else source == _DYNAMIC_TOPIC_CONFIG
