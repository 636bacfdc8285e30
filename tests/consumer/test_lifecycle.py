"""Expiry rules are set, read back and compared; a server without them is an answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from consumer.lifecycle import (
    LifecycleFileError,
    apply,
    check,
    default_path,
    overdue,
    read,
)
from consumer.storage import Expiry, Storage
from tests.support.capabilities import Can
from tests.support.handles import S3Handle
from tests.support.work import settings_for

WANTED = [Expiry("inputs/", 1), Expiry("results/", 7)]


@pytest.fixture
async def storage(every_s3: S3Handle, tmp_path: Path) -> AsyncIterator[Storage]:
    opened = Storage(settings_for(every_s3, tmp_path))
    yield opened
    opened.close()


def _has_rules(s3: S3Handle) -> bool:
    return Can.LIFECYCLE in s3.capabilities or "mbedded" in s3.name or "moto" in s3.name.lower()


def test_the_shipped_file_names_every_prefix_of_the_service() -> None:
    rules = {rule.prefix: rule.days for rule in read(default_path())}
    assert rules == {"inputs/": 1, "results/": 7, "avatars/": 30, "attempts/": 1}


async def test_applied_rules_are_read_back_and_found_right(
    every_s3: S3Handle, storage: Storage
) -> None:
    if not _has_rules(every_s3):
        pytest.skip(f"{every_s3.name} has no lifecycle rules; see the test of its answer")
    before = await check(storage, every_s3.bucket, WANTED)
    assert [rule.state for rule in before.rules] == ["missing", "missing"]
    assert not before.ok
    assert (await apply(storage, every_s3.bucket, WANTED)).ok
    after = await check(storage, every_s3.bucket, WANTED)
    assert after.ok
    assert after.warnings == []


async def test_a_rule_with_other_days_is_named(every_s3: S3Handle, storage: Storage) -> None:
    if not _has_rules(every_s3):
        pytest.skip(f"{every_s3.name} has no lifecycle rules; see the test of its answer")
    await apply(storage, every_s3.bucket, [Expiry("inputs/", 3)])
    report = await check(storage, every_s3.bucket, WANTED)
    assert [rule.state for rule in report.rules] == ["differs", "missing"]
    assert "says 3" in report.warnings[0]


async def test_rules_of_others_stay(every_s3: S3Handle, storage: Storage) -> None:
    if not _has_rules(every_s3):
        pytest.skip(f"{every_s3.name} has no lifecycle rules; see the test of its answer")
    await apply(storage, every_s3.bucket, [Expiry("backups/", 90)])
    report = await apply(storage, every_s3.bucket, WANTED)
    assert report.ok
    assert report.others == (Expiry("backups/", 90),)


async def test_a_server_without_rules_is_an_answer(second_s3: S3Handle, tmp_path: Path) -> None:
    opened = Storage(settings_for(second_s3, tmp_path))
    try:
        for report in (
            await check(opened, second_s3.bucket, WANTED),
            await apply(opened, second_s3.bucket, WANTED),
        ):
            assert not report.supported
            assert not report.ok
            assert "no lifecycle rules" in report.warnings[0]
    finally:
        opened.close()


async def test_what_is_overdue_is_found_by_age_and_prefix(
    every_s3: S3Handle, storage: Storage
) -> None:
    for key in ("inputs/a", "results/b", "elsewhere/c"):
        await storage.put(every_s3.bucket, key, b"x")
    in_two_days = datetime.now(UTC) + timedelta(days=2)
    assert await overdue(storage, every_s3.bucket, WANTED) == []
    assert await overdue(storage, every_s3.bucket, WANTED, in_two_days) == ["inputs/a"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("rules: []", "rules"),
        ("rules: [{prefix: inputs, days: 1}]", "must end with '/'"),
        ("rules: [{prefix: a/, days: 0}]", "days"),
        ("rules: [{prefix: a/, days: 1}, {prefix: a/, days: 2}]", "named twice: a/"),
        ("rules: [", "expected"),
    ],
)
def test_a_file_that_cannot_work_is_refused_by_name(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "lifecycle.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(LifecycleFileError, match=reason):
        read(path)
