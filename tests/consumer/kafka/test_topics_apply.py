"""`topics apply` brings real brokers to what the file says, twice as well as once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from consumer.kafka.connecting import ClientFailed
from consumer.kafka.topics_apply import Change, admin, apply, brokers, plan
from consumer.kafka.topics_file import TopicsFileError, WantedTopic, default_path, read
from consumer.settings import Settings
from consumer.settings.load import load
from schemas.topics import Topics
from tests.support.capabilities import Can
from tests.support.handles import KafkaHandle
from tests.support.processes import free_port


@pytest.fixture
def settings(kafka: KafkaHandle) -> Settings:
    kafka.require(Can.ADMIN)
    return load(kafka.env)


async def _apply(settings: Settings, wanted: Mapping[str, WantedTopic]) -> list[Change]:
    async with admin(settings) as client:
        changes = await plan(client, wanted, 1)
        await apply(client, changes, 1)
        return changes


async def _plan(settings: Settings, wanted: Mapping[str, WantedTopic]) -> list[Change]:
    async with admin(settings) as client:
        return await plan(client, wanted, 1)


def test_the_shipped_file_names_every_topic_of_the_service() -> None:
    named = read(default_path()).named("face2face")
    assert set(named) == set(Topics().all())


def test_the_shipped_file_keeps_requests_as_long_as_a_replay_may_need_them() -> None:
    wanted = read(default_path()).topics
    week_ms = 7 * 86_400_000
    assert int(wanted["requests"].config["retention.ms"]) >= week_ms
    assert int(wanted["requests.retry"].config["retention.ms"]) >= week_ms
    taken = int(wanted["requests"].config["max.message.bytes"])
    assert int(wanted["requests.dlq"].config["max.message.bytes"]) > taken


def test_a_cancel_is_kept_longer_than_its_request_and_compared_by_one_clock() -> None:
    wanted = read(default_path()).topics
    requests, control = wanted["requests"].config, wanted["control"].config
    oldest_ms = int(requests["retention.ms"]) + int(requests["segment.ms"])
    assert int(control["retention.ms"]) > oldest_ms
    assert {c["message.timestamp.type"] for c in (requests, control)} == {"LogAppendTime"}


async def test_missing_topics_are_made_and_a_second_time_changes_nothing(
    settings: Settings,
) -> None:
    wanted = read(default_path()).named(settings.topic_prefix)
    first = await _apply(settings, wanted)
    assert {change.action for change in first} == {"create"}
    second = await _apply(settings, wanted)
    assert {change.action for change in second} == {"keep"}
    found = {change.topic: change.partitions for change in second}
    assert found == {name: topic.partitions for name, topic in wanted.items()}


async def test_a_plan_alone_makes_nothing(settings: Settings) -> None:
    wanted = {f"{settings.topic_prefix}.one": WantedTopic(partitions=2)}
    assert [change.action for change in await _plan(settings, wanted)] == ["create"]
    assert [change.action for change in await _plan(settings, wanted)] == ["create"]


async def test_partitions_grow_and_never_shrink(settings: Settings) -> None:
    name = f"{settings.topic_prefix}.one"
    await _apply(settings, {name: WantedTopic(partitions=2)})
    grown = await _apply(settings, {name: WantedTopic(partitions=5)})
    assert [(c.action, c.found_partitions, c.partitions) for c in grown] == [("grow", 2, 5)]
    kept = await _apply(settings, {name: WantedTopic(partitions=3)})
    assert [(c.action, c.partitions) for c in kept] == [("keep", 5)]


async def test_configs_are_set_and_what_others_set_stays(settings: Settings) -> None:
    name = f"{settings.topic_prefix}.one"
    others = {"segment.ms": "777000", "retention.ms": "1000"}
    await _apply(settings, {name: WantedTopic(partitions=1, config=others)})
    ours = {name: WantedTopic(partitions=1, config={"retention.ms": "2000"})}
    changed = await _apply(settings, ours)
    assert [(c.action, dict(c.config), dict(c.found_config)) for c in changed] == [
        ("configure", {"retention.ms": "2000"}, {"retention.ms": "1000"})
    ]
    both = {name: WantedTopic(partitions=1, config={**others, "retention.ms": "2000"})}
    assert [c.action for c in await _plan(settings, both)] == ["keep"]


async def test_topics_that_would_be_compacted_keep_every_record_after_it(
    settings: Settings,
) -> None:
    """As brokers may have it by default: of requests that share a key only one would stay."""
    wanted = read(default_path()).named(settings.topic_prefix)
    compacted = {"cleanup.policy": "compact"}
    made = {n: WantedTopic(partitions=t.partitions, config=compacted) for n, t in wanted.items()}
    await _apply(settings, made)
    changes = await _apply(settings, wanted)
    assert {change.config["cleanup.policy"] for change in changes} == {"delete"}
    assert {change.action for change in await _plan(settings, wanted)} == {"keep"}


async def test_it_returns_when_the_brokers_show_a_changed_config(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"{settings.topic_prefix}.one"
    await _apply(settings, {name: WantedTopic(partitions=1, config={"retention.ms": "1000"})})
    async with admin(settings) as client:
        changes = await plan(
            client, {name: WantedTopic(partitions=1, config={"retention.ms": "2000"})}, 1
        )
        ask, asked = client.describe_configs, 0
        before = await ask([ConfigResource(ConfigResourceType.TOPIC, name)])

        async def late(resources: Any) -> Any:
            nonlocal asked
            asked += 1
            return before if asked < 5 else await ask(resources)

        monkeypatch.setattr(client, "describe_configs", late)
        await apply(client, changes, 1)
    assert asked >= 5


async def test_the_brokers_that_are_alive_are_counted(settings: Settings) -> None:
    async with admin(settings) as client:
        assert await brokers(client) == 1


async def test_no_broker_is_said_with_its_address() -> None:
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(ClientFailed, match=address):
        async with admin(load({"KAFKA_BOOTSTRAP_SERVERS": address})):
            pass


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("topics: {requests: {partitions: 0}}", "greater than or equal to 1"),
        ("topics: {requests: {partitions: 1, replicas: 2}}", "replicas"),
        ("topics: {requests: {partitions: 1}}", "completed, control, failed"),
        ("topics: [", "expected the node content"),
        ("a text", "the whole must be an object"),
        (
            "topics: {requests: {partitions: 1, config: [a]}}",
            "config must be an object",
        ),
        ("topics: {requests: {}}", "topics.requests.partitions is missing"),
    ],
)
def test_a_wrong_file_is_refused_with_its_name_and_reason(
    tmp_path: Path, text: str, said: str
) -> None:
    path = tmp_path / "topics.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(TopicsFileError, match=said) as refused:
        read(path)
    assert str(path) in str(refused.value)
    assert "pydantic" not in str(refused.value)


def test_a_file_that_is_no_text_is_said(tmp_path: Path) -> None:
    path = tmp_path / "topics.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TopicsFileError, match="can't decode"):
        read(path)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(TopicsFileError, match="No such file"):
        read(tmp_path / "none.yaml")
