"""`face2face lifecycle`: the bucket's expiry rules of deploy/lifecycle.yaml."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from consumer.local.console import FAILED, CommandError, emit, say, tell
from consumer.local.open_store import opened
from consumer.local.options import JSON_FLAG
from consumer.settings.load import load
from consumer.store.facts import Expiry
from consumer.store.lifecycle import LifecycleFileError, Report, apply, check, default_path, read
from consumer.store.sweeping import Pass, sweep

FILE = click.option(
    "--file",
    "path",
    type=click.Path(path_type=Path),
    default=None,
    help="another lifecycle.yaml [the one of this installation]",
)


@click.group()
def lifecycle() -> None:
    """Apply, show or check the bucket's expiry rules, or expire by hand. Store: S3_*."""


@lifecycle.command("apply")
@click.option("--make-bucket", is_flag=True, help="make the bucket first where there is none")
@FILE
@JSON_FLAG
def lifecycle_apply(make_bucket: bool, path: Path | None, as_json: bool) -> int:
    """Set the rules, read them back and compare. Doing it twice changes nothing.

    Exit code 1 when the server took the call and does not have the rules; a server that has no
    lifecycle at all is said, and exit code 0: there the operator must expire objects otherwise.
    """
    report = asyncio.run(_apply(_wanted(path), make_bucket))
    _show(report, as_json)
    return 0 if report.ok or not report.supported else FAILED


@lifecycle.command("show")
@FILE
@JSON_FLAG
def lifecycle_show(path: Path | None, as_json: bool) -> None:
    """Show what is wanted and what the server has; changes nothing."""
    _show(asyncio.run(_check(_wanted(path))), as_json)


@lifecycle.command("check", short_help="Compare; exit code 1 where rules are missing or differ.")
@FILE
@JSON_FLAG
def lifecycle_check(path: Path | None, as_json: bool) -> int:
    """Compare; exit code 1 when a rule is missing or differs, or the server has no lifecycle."""
    report = asyncio.run(_check(_wanted(path)))
    _show(report, as_json)
    return 0 if report.ok else FAILED


@lifecycle.command("sweep", short_help="Say or remove what is older than the rules allow.")
@click.option(
    "--dry-run/--apply",
    default=True,
    help="only say what is overdue [the default], or remove it",
)
@FILE
@JSON_FLAG
def lifecycle_sweep(dry_run: bool, path: Path | None, as_json: bool) -> int:
    """Remove what is older than the rules allow, for stores that expire nothing themselves.

    Only under the prefixes of the file, and none but inputs/, results/, avatars/ and attempts/.
    Age is counted by the store's clock. Exit code 1 when the store kept something.
    """
    done = asyncio.run(_sweep(_wanted(path), dry_run))
    if as_json:
        emit(done.as_json())
    else:
        verb = "would remove" if dry_run else "removed"
        for rule in done.rules:
            gone = rule.overdue if dry_run else rule.removed
            size = f"{rule.bytes / 1e6:.1f} MB"
            tell(f"{rule.prefix:<12} {verb} {gone} of {rule.seen} objects, {size}")
            for key in rule.examples:
                tell(f"{'':<12} {key}")
    if done.cut_short:
        say("warning: more is overdue than one pass takes; run it again")
    if dry_run and done.overdue:
        say("nothing was removed; do it with --apply")
    return FAILED if any(rule.kept for rule in done.rules) else 0


def _wanted(path: Path | None) -> list[Expiry]:
    try:
        return read(path or default_path())
    except LifecycleFileError as error:
        raise CommandError.usage(str(error)) from error


async def _apply(wanted: list[Expiry], make_bucket: bool) -> Report:
    settings = load()
    with opened(settings) as storage:
        if make_bucket and await storage.ensure_bucket(settings.s3_bucket):
            say(f"made bucket {settings.s3_bucket!r}")
        return await apply(storage, settings.s3_bucket, wanted)


async def _check(wanted: list[Expiry]) -> Report:
    settings = load()
    with opened(settings) as storage:
        return await check(storage, settings.s3_bucket, wanted)


async def _sweep(wanted: list[Expiry], dry_run: bool) -> Pass:
    settings = load()
    try:
        with opened(settings) as storage:
            return await sweep(storage, settings.s3_bucket, wanted, dry_run=dry_run)
    except LifecycleFileError as error:
        raise CommandError.usage(str(error)) from error


def _show(report: Report, as_json: bool) -> None:
    if as_json:
        emit(report.as_json())
    else:
        for rule in report.rules:
            has = "none" if rule.found_days is None else f"{rule.found_days} d"
            tell(f"{rule.state:<8} {rule.prefix:<12} wanted {rule.wanted_days} d, has {has}")
        for other in report.others:
            tell(f"{'other':<8} {other.prefix:<12} {other.days} d")
    for warning in report.warnings:
        say(f"warning: {warning}")
