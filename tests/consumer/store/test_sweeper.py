"""Our own sweeper expires by age and prefix on every store, one replica at a time, dry first."""

from __future__ import annotations

import asyncio
import io
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from consumer.faults import Fault
from consumer.store import sweeping
from consumer.store.facts import Expiry
from consumer.store.lease import Leases
from consumer.store.lifecycle import LifecycleFileError
from consumer.store.storage import Storage
from consumer.store.sweeper import Sweeper
from consumer.store.sweeping import LEASE_KEY, sweep
from schemas.codes import ErrorCode, Stage
from tests.support.accounts import without
from tests.support.handles import S3Handle
from tests.support.work import settings_for, until

RULES = [Expiry("inputs/", 1), Expiry("results/", 7), Expiry("attempts/", 1)]
TTL_S = 3.0
"""Of the lease: a busy machine may take two thirds of it for a renewal."""
KEYS = ("inputs/a", "results/j/r.json", "results/j/r.mp4", "attempts/j/r.json", "elsewhere/x")


@pytest.fixture
async def storage(every_s3: S3Handle, tmp_path: Path) -> AsyncIterator[Storage]:
    opened = Storage(settings_for(every_s3, tmp_path))
    yield opened
    opened.close()


async def _fill(storage: Storage, bucket: str, *keys: str) -> None:
    for key in keys or KEYS:
        await storage.put(bucket, key, b"12345")


def _in(**age: float) -> datetime:
    return datetime.now(UTC) + timedelta(**age)


async def test_a_dry_run_names_what_is_overdue_and_removes_nothing(
    every_s3: S3Handle, storage: Storage
) -> None:
    await _fill(storage, every_s3.bucket)
    done = await sweep(storage, every_s3.bucket, RULES, dry_run=True, now=_in(days=2))
    assert [(r.prefix, r.seen, r.overdue, r.bytes, r.removed) for r in done.rules] == [
        ("inputs/", 1, 1, 5, 0),
        ("results/", 2, 0, 0, 0),
        ("attempts/", 1, 1, 5, 0),
    ]
    assert done.rules[0].examples == ["inputs/a"]
    assert every_s3.keys() == sorted(KEYS)


async def test_what_is_overdue_goes_and_nothing_outside_of_our_prefixes(
    every_s3: S3Handle, storage: Storage
) -> None:
    await _fill(storage, every_s3.bucket)
    assert (await sweep(storage, every_s3.bucket, RULES, dry_run=False)).removed == 0
    await sweep(storage, every_s3.bucket, RULES, dry_run=False, now=_in(days=2))
    assert every_s3.keys() == ["elsewhere/x", "results/j/r.json", "results/j/r.mp4"]
    await sweep(storage, every_s3.bucket, RULES, dry_run=False, now=_in(days=7, minutes=1))
    assert every_s3.keys() == ["elsewhere/x", "results/j/r.mp4"], "the manifest goes first"
    await sweep(storage, every_s3.bucket, RULES, dry_run=False, now=_in(days=8))
    assert every_s3.keys() == ["elsewhere/x"]


async def test_a_pass_goes_through_pages_and_ends_at_its_bound(
    every_s3: S3Handle, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "PAGE", 3)
    keys = [f"inputs/{n:02}" for n in range(8)]
    await _fill(storage, every_s3.bucket, *keys)
    later = _in(days=2)
    first = await sweep(storage, every_s3.bucket, RULES, dry_run=False, now=later, most=5)
    assert (first.removed, first.cut_short) == (5, True)
    assert every_s3.keys() == keys[5:]
    rest = await sweep(storage, every_s3.bucket, RULES, dry_run=False, now=later, most=5)
    assert (rest.removed, rest.cut_short) == (3, False)


async def test_what_the_store_does_not_let_go_is_said_and_holds_up_nothing(
    s3: S3Handle, tmp_path: Path
) -> None:
    account = without(s3, "s3:DeleteObject", where=f"arn:aws:s3:::{s3.bucket}/inputs/*")
    storage = Storage(settings_for(account, tmp_path))
    await _fill(storage, s3.bucket)
    done = await sweep(storage, s3.bucket, RULES, dry_run=False, now=_in(days=8))
    assert [(r.prefix, r.overdue, r.removed, r.kept) for r in done.rules] == [
        ("inputs/", 1, 0, 1),
        ("results/", 2, 2, 0),
        ("attempts/", 1, 1, 0),
    ]
    assert (done.overdue, done.removed) == (4, 3)
    assert s3.keys() == ["elsewhere/x", "inputs/a"]
    storage.close()


async def test_a_prefix_that_is_not_ours_is_refused_by_name(
    every_s3: S3Handle, storage: Storage
) -> None:
    with pytest.raises(LifecycleFileError, match="'backups/' is not swept"):
        await sweep(storage, every_s3.bucket, [Expiry("backups/", 1)], dry_run=True)


async def test_the_store_s_own_clock_counts(storage: Storage) -> None:
    assert abs(await storage.server_time() - datetime.now(UTC)) < timedelta(seconds=30)


def _sweeper(storage: Storage, s3: S3Handle, folder: Path, name: str, **env: Any) -> Sweeper:
    leases = Leases(storage, s3.bucket, owner=f"{name}/1/x", ttl_s=TTL_S)
    return Sweeper(settings_for(s3, folder, **env), storage, leases)


def _make_old(monkeypatch: pytest.MonkeyPatch, days: int) -> None:
    """Let the store's clock stand in the future, as the sweeper sees it."""

    async def later(self: Storage) -> datetime:
        return _in(days=days)

    monkeypatch.setattr(Storage, "server_time", later)


async def test_the_service_s_first_pass_only_says_it_and_the_next_removes(
    second_s3: S3Handle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _make_old(monkeypatch, 40)
    storage = Storage(settings_for(second_s3, tmp_path))
    await _fill(storage, second_s3.bucket)
    mine = _sweeper(storage, second_s3, tmp_path, "a", F2F_SWEEP_INTERVAL_S=1)
    with capture_logs() as said:
        task = asyncio.create_task(mine.run())
        await until(lambda: any(line["event"] == "sweep would remove" for line in said))
        assert set(KEYS) <= set(second_s3.keys())
        await until(lambda: any(line["event"] == "sweep removed" for line in said))
        task.cancel()
    assert [k for k in second_s3.keys() if k != LEASE_KEY] == ["elsewhere/x"]  # noqa: SIM118
    assert mine.state == "sweeping"
    storage.close()


async def test_a_store_with_rules_is_left_to_them_unless_told_otherwise(
    s3: S3Handle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _make_old(monkeypatch, 40)
    storage = Storage(settings_for(s3, tmp_path))
    await _fill(storage, s3.bucket)
    for value, state in (("off", "off"), ("auto", "the store expires")):
        quiet = _sweeper(storage, s3, tmp_path, "a", F2F_SWEEP=value)
        task = asyncio.create_task(quiet.run())
        await until(lambda q=quiet, s=state: q.state == s)
        task.cancel()
        assert s3.keys() == sorted(KEYS)
    always = _sweeper(storage, s3, tmp_path, "a", F2F_SWEEP="always", F2F_SWEEP_INTERVAL_S=1)
    task = asyncio.create_task(always.run())
    await until(lambda: "inputs/a" not in s3.keys())  # noqa: SIM118
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    storage.close()


@pytest.mark.parametrize("answer", ["rules", "a fault"])
async def test_the_store_is_left_in_peace_between_two_passes(
    answer: str, s3: S3Handle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    ask = Storage.get_lifecycle

    async def counted(self: Storage, bucket: str) -> Any:
        asked.append(bucket)
        if answer == "a fault":
            raise Fault.of(ErrorCode.STORE_UNAVAILABLE, Stage.STORE, "away")
        return await ask(self, bucket)

    monkeypatch.setattr(Storage, "get_lifecycle", counted)
    storage = Storage(settings_for(s3, tmp_path))
    task = asyncio.create_task(_sweeper(storage, s3, tmp_path, "a").run())
    await until(lambda: bool(asked))
    for _ in range(10):  # time for as many questions
        await storage.get(s3.bucket, "nothing")
    assert len(asked) == 1
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    storage.close()


async def test_one_replica_sweeps_at_a_time_and_a_dead_one_is_followed(
    s3: S3Handle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _make_old(monkeypatch, 40)
    storage = Storage(settings_for(s3, tmp_path))
    await _fill(storage, s3.bucket)
    theirs = Leases(storage, s3.bucket, owner="b/1/x", ttl_s=TTL_S)
    conditions = await theirs.honours_conditions()
    held = await theirs.watch(LEASE_KEY, "sweeper", "sweeper").try_claim(conditions=conditions)
    assert held is not None
    mine = _sweeper(storage, s3, tmp_path, "a")
    async with held:  # it lives and renews
        assert await mine._pass_alone(RULES, dry_run=False) is None
        assert set(KEYS) <= set(s3.keys())
    done = await mine._pass_alone(RULES, dry_run=False)  # it died without a word
    assert done is not None
    assert done.removed == 4
    storage.close()


def _run_command(s3: S3Handle, *arguments: str) -> tuple[int, dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-m", "consumer.cli", "lifecycle", "sweep", *arguments, "--json"],
        capture_output=True,
        text=True,
        env={**os.environ, **s3.env},
        timeout=120,
        check=False,
    )
    return done.returncode, json.loads(done.stdout)


def test_the_command_is_a_dry_run_unless_told_to_apply(s3: S3Handle, tmp_path: Path) -> None:
    s3.client().put_object(s3.bucket, "inputs/new", io.BytesIO(b"x"), 1)
    code, said = _run_command(s3)
    assert (code, said["dry_run"], said["overdue"]) == (0, True, 0)
    assert said["rules"][0] == {
        "prefix": "inputs/", "days": 1, "seen": 1, "overdue": 0, "bytes": 0, "removed": 0,
        "kept": 0, "examples": [],
    }  # fmt: skip
    code, said = _run_command(s3, "--apply")
    assert (code, said["dry_run"], said["removed"]) == (0, False, 0)
    assert s3.keys() == ["inputs/new"]
    backups = tmp_path / "rules.yaml"
    backups.write_text("rules: [{prefix: backups/, days: 1}]", encoding="utf-8")
    code, said = _run_command(s3, "--apply", "--file", str(backups))
    assert (code, said["error"]["code"]) == (2, "INVALID_REQUEST")
