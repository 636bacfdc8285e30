"""`face2face topics apply`: make the topics of deploy/topics.yaml."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from consumer.kafka.topics_apply import Change, admin, apply, brokers, plan
from consumer.kafka.topics_file import TopicsFileError, WantedTopics, default_path, read
from consumer.local.console import CommandError, broker_errors, emit, tell
from consumer.local.options import JSON_FLAG

_DID = {"create": "made", "grow": "grown", "configure": "configured", "keep": "kept"}
_WOULD = {"create": "make", "grow": "grow", "configure": "configure", "keep": "keep"}


@click.group()
def topics() -> None:
    """Make the topics of deploy/topics.yaml."""


@topics.command("apply")
@click.option("--dry-run", is_flag=True, help="only say what would be done")
@click.option(
    "--file",
    "path",
    type=click.Path(path_type=Path),
    default=None,
    help="another topics.yaml [the one of this installation]",
)
@click.option(
    "--replication-factor",
    type=click.IntRange(1, 100),
    default=None,
    help="copies of each partition [the file's]",
)
@JSON_FLAG
def topics_apply(
    dry_run: bool, path: Path | None, replication_factor: int | None, as_json: bool
) -> None:
    """Make missing topics, add partitions, set configs. Never removes anything.

    Doing it twice changes nothing. Brokers come from KAFKA_BOOTSTRAP_SERVERS, the prefix of all
    names from F2F_TOPIC_PREFIX.
    """
    try:
        wanted = read(path or default_path())
    except TopicsFileError as error:
        raise CommandError.usage(str(error)) from error
    with broker_errors():
        changes = asyncio.run(_run(wanted, replication_factor, dry_run))
    if as_json:
        emit({"dry_run": dry_run, "topics": [asdict(change) for change in changes]})
    else:
        for change in changes:
            tell(_line(change, _WOULD if dry_run else _DID))


async def _run(wanted: WantedTopics, replication: int | None, dry_run: bool) -> list[Change]:
    from consumer.settings.load import load

    settings = load()
    copies = replication or wanted.replication_factor
    async with admin(settings) as client:
        changes = await plan(client, wanted.named(settings.topic_prefix), copies)
        alive = await brokers(client)
        if copies > alive and any(change.action == "create" for change in changes):
            raise CommandError.usage(
                f"replication factor {copies}, but only {alive} broker(s) are alive at "
                f"{', '.join(settings.kafka_servers)}; start more brokers, or say "
                f"--replication-factor {alive}",
                replication_factor=copies,
                brokers=alive,
            )
        if not dry_run:
            await apply(client, changes, copies)
    return changes


def _line(change: Change, verbs: dict[str, str]) -> str:
    facts: list[Any] = [f"{verbs[change.action]:<10} {change.topic}"]
    if change.action == "grow":
        facts.append(f"{change.found_partitions} → {change.partitions} partitions")
    else:
        facts.append(f"{change.partitions} partitions")
    for key, value in change.config.items():
        before = change.found_config.get(key)
        facts.append(f"{key}: {before} → {value}" if before is not None else f"{key}={value}")
    return "  ".join(facts)
