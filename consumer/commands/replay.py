"""`face2face replay`: send requests of the past once more."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import asdict
from datetime import datetime
from typing import Any

import click

from consumer import logs
from consumer.kafka.connecting import reach
from consumer.kafka.publisher import Publisher
from consumer.kafka.replay import Row
from consumer.kafka.replay import replay as replay_records
from consumer.kafka.selection import ReplayError, Selection
from consumer.kafka.topics_apply import admin
from consumer.local.console import CommandError, broker_errors, emit, say, stoppable, tell
from consumer.local.open_store import opened
from consumer.local.options import JSON_FLAG
from consumer.settings import Settings
from consumer.settings.load import load
from consumer.store.outcomes import StoredOutcomes


@click.command()
@click.option("--from", "start", default=None, help="offset, or time such as 2026-12-01T10:00:00Z")
@click.option("--to", "stop", default=None, help="offset or time, exclusive")
@click.option("--partition", type=click.IntRange(min=0), default=None, help="one partition [all]")
@click.option("--key", default=None, help="records of this key")
@click.option("--job-id", default=None, help="records of this job")
@click.option("--dead-letters", is_flag=True, help="take the dead-letter topic, not the requests")
@click.option("--only-failed", is_flag=True, help="only jobs whose recorded outcome is failed")
@click.option("--rerender", is_flag=True, help="render finished jobs again, as a new generation")
@click.option("--dry-run", is_flag=True, help="only say what would happen")
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help="the whole topic; needed where nothing selects records",
)
@JSON_FLAG
def replay(
    start: str | None,
    stop: str | None,
    dry_run: bool,
    everything: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Send requests of the past once more.

    A finished job only announces its recorded outcome again, with the same event id, unless
    --rerender is given. --dry-run first shows each record and what would become of it. Brokers
    and store come from the same settings as the service's. With --json: one object per record,
    and a last one with the counts.
    """
    selection = _selection(start, stop, given)
    if selection == Selection(only_failed=selection.only_failed, rerender=selection.rerender) and (
        not (dry_run or everything)
    ):
        raise CommandError.usage(
            "nothing selects records: give --from, --to, --partition, --key or --job-id, see what "
            "would happen with --dry-run, or say --all"
        )
    try:
        with stoppable(), broker_errors():
            counts = asyncio.run(_replay(selection, dry_run, as_json))
    except ReplayError as error:
        raise CommandError.usage(str(error)) from error
    if as_json:
        emit({"dry_run": dry_run, "counts": counts})
    total = ", ".join(f"{count} {action}" for action, count in counts.items()) or "no record"
    say(f"{'would do: ' if dry_run else ''}{total}")


def _selection(start: str | None, stop: str | None, given: dict[str, Any]) -> Selection:
    from_offset, from_time = _place("--from", start)
    to_offset, to_time = _place("--to", stop)
    key = given.pop("key")
    return Selection(
        from_offset=from_offset,
        to_offset=to_offset,
        from_time=from_time,
        to_time=to_time,
        key=None if key is None else key.encode(),
        **given,
    )


def _place(option: str, text: str | None) -> tuple[int | None, datetime | None]:
    if text is None:
        return None, None
    if text.isascii() and text.isdecimal():
        return int(text), None
    try:
        return None, datetime.fromisoformat(text)
    except ValueError as error:
        raise CommandError.usage(
            f"{option} {text!r} is neither an offset nor a time such as 2026-12-01T10:00:00Z"
        ) from error


async def _replay(selection: Selection, dry_run: bool, as_json: bool) -> dict[str, int]:
    settings = load()
    logs.configure(settings.model_copy(update={"log_format": "console", "log_level": "warning"}))
    counts: Counter[str] = Counter()
    async with AsyncExitStack() as stack:
        storage = stack.enter_context(opened(settings))
        publisher = None if dry_run else await _publisher(settings, stack)
        find = StoredOutcomes(storage, settings.s3_bucket)
        async for row in replay_records(settings, selection, find, publisher):
            counts[row.action] += 1
            _tell(row, as_json)
    return dict(counts)


async def _publisher(settings: Settings, stack: AsyncExitStack) -> Publisher:
    """A started one: it would wait for brokers as long as it takes, so they are tried before."""
    async with admin(settings):
        pass
    publisher = Publisher(settings)
    stack.push_async_callback(publisher.stop)
    await reach(settings, publisher.start())
    return publisher


def _tell(row: Row, as_json: bool) -> None:
    if as_json:
        emit(asdict(row))
        return
    place = f"{row.partition}/{row.offset}"
    when = row.sent_at.isoformat(timespec="seconds")
    reason = f"  ({row.reason})" if row.reason else ""
    tell(f"{place:<10} {when}  {row.job_id:<36}  {row.outcome:<9}  {row.action}{reason}")
