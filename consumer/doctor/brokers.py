"""Checks of the brokers: they answer, let the service work, and have its topics as they should."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from aiokafka.errors import KafkaError

from consumer.doctor.findings import Finding, State
from consumer.kafka.connecting import ClientFailed
from consumer.kafka.rights import lacking
from consumer.kafka.topics_apply import Change, admin, brokers, partitions, plan
from consumer.kafka.topics_file import default_path, read
from consumer.settings import Settings

LEAST_EVENT_BYTES = 32 * 1024
"""What a shortened outcome may have: long locations, twenty warnings."""
LATE_S = 2.0
"""An answer later than this works, and makes every job slow."""


async def kafka(settings: Settings) -> list[Finding]:
    """Brokers, topics and rights."""
    began = time.monotonic()
    try:
        async with admin(settings) as client:
            alive, found = await brokers(client), await partitions(client)
            took = time.monotonic() - began
            topics = _topics(settings, found) or await _configs(settings, client, found)
        refused = await _access(settings)
    except (ClientFailed, KafkaError) as error:
        return [
            Finding(
                "kafka",
                "bad",
                str(error),
                "Start the brokers, or correct KAFKA_BOOTSTRAP_SERVERS, KAFKA_SECURITY_PROTOCOL, "
                "KAFKA_SASL_* or KAFKA_SSL_CA_FILE.",
            )
        ]
    where = ", ".join(settings.kafka_servers)
    state: State = "ok" if took < LATE_S else "warn"
    text = f"{alive} broker(s) at {where}, answered in {took:.2f} s"
    return [Finding("kafka", state, text), topics, *refused]


async def _access(settings: Settings) -> list[Finding]:
    """What ACLs forbid the service; nothing where all is allowed."""
    lacks = await asyncio.to_thread(lacking, settings)
    if not lacks:
        return []
    user = settings.kafka_user or "the service"
    text = f"the brokers' ACLs refuse {user!r}: {'; '.join(lacks)}"
    return [Finding("access", "bad", text, "Allow it (deploy/runbook.md, Access).")]


def _topics(settings: Settings, found: dict[str, int]) -> Finding | None:
    """What is missing; None when every topic is there."""
    missing = [name for name in settings.topics.all() if name not in found]
    if missing:
        advice = "Run `face2face topics apply`; if they exist, an ACL must allow Describe on them."
        return Finding("topics", "bad", f"missing: {', '.join(missing)}", advice)
    return None


async def _configs(settings: Settings, client: Any, found: dict[str, int]) -> Finding:
    """Partitions and configs against deploy/topics.yaml: less than wanted is worth a word."""
    counts = ", ".join(f"{name} {found[name]}" for name in settings.topics.all())
    wanted = read(default_path()).named(settings.topic_prefix)
    try:
        changes = [c for c in await plan(client, wanted, 1) if c.action != "keep"]
    except KafkaError as error:
        return Finding("topics", "ok", f"partitions: {counts} (configs not readable: {error!r})")
    if not changes:
        return Finding("topics", "ok", f"partitions: {counts}")
    said = "; ".join(
        f"{c.topic} has {c.found_partitions} of {c.partitions} partitions"
        if c.action == "grow"
        else f"{c.topic}: {', '.join(f'{k}={v}' for k, v in sorted(c.config.items()))} is wanted"
        for c in changes
    )
    small = [c.topic for c in changes if _takes_no_event(c, settings)]
    state: State = "bad" if small else "warn"
    if small:
        said += (
            f"; {', '.join(small)}: an event may have {LEAST_EVENT_BYTES} bytes: jobs would wait"
        )
    return Finding(
        "topics", state, f"partitions: {counts}; {said}", "Run `face2face topics apply`."
    )


def _takes_no_event(change: Change, settings: Settings) -> bool:
    """True for a topic of outcomes that does not take all of them, not even shortened."""
    found = change.found_config.get("max.message.bytes")
    outcomes = (settings.topics.completed, settings.topics.failed)
    return change.topic in outcomes and found is not None and int(found) < LEAST_EVENT_BYTES
