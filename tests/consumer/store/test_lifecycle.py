"""Expiry rules are set, read back and compared; a server without them is an answer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from consumer.store.facts import Expiry
from consumer.store.lifecycle import (
    LifecycleFileError,
    apply,
    check,
    default_path,
    read,
)
from consumer.store.storage import Storage
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
    assert "(the server says 3 d)" in report.warnings[0]


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


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("rules: []", "rules"),
        ("rules: [{prefix: inputs, days: 1}]", "must end with '/'"),
        ("rules: [{prefix: '', days: 1}]", "must end with '/'"),
        ("rules: [{prefix: /, days: 1}]", "1 to 1024 bytes"),
        ("rules: [{prefix: a/, days: 0}]", "days"),
        ("rules: [{prefix: a/, days: 1}, {prefix: a/, days: 2}]", "named twice: a/"),
        ("rules: [", "expected"),
        ("a text", "the whole must be an object"),
    ],
)
def test_a_file_that_cannot_work_is_refused_by_name(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "lifecycle.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(LifecycleFileError, match=reason):
        read(path)


def test_a_file_that_is_not_there_or_is_no_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(LifecycleFileError, match=r"gone\.yaml: No such file"):
        read(tmp_path / "gone.yaml")
    (tmp_path / "odd.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(LifecycleFileError, match=r"odd\.yaml"):
        read(tmp_path / "odd.yaml")


OTHERS = {
    "a prefix of the old format": "<Prefix>logs/</Prefix><Expiration><Days>1</Days></Expiration>",
    "large objects only": "<Filter><ObjectSizeGreaterThan>9</ObjectSizeGreaterThan></Filter>"
    "<Expiration><Days>1</Days></Expiration>",
    "large objects of a prefix": "<Filter><And><Prefix>results/</Prefix>"
    "<ObjectSizeGreaterThan>9</ObjectSizeGreaterThan></And></Filter>"
    "<Expiration><Days>1</Days></Expiration>",
    "an empty filter": "<Filter></Filter><NoncurrentVersionExpiration>"
    "<NoncurrentDays>3</NoncurrentDays></NoncurrentVersionExpiration>",
    "old versions of our prefix": "<Filter><Prefix>results/</Prefix></Filter>"
    "<NoncurrentVersionExpiration><NoncurrentDays>30</NoncurrentDays>"
    "</NoncurrentVersionExpiration>",
    "all versions": "<Filter><Prefix>tmp/</Prefix></Filter><Expiration><Days>3</Days>"
    "<ExpiredObjectAllVersions>true</ExpiredObjectAllVersions></Expiration>",
    "two tags": "<Filter><And><Prefix>x/</Prefix><Tag><Key>a</Key><Value>1</Value></Tag>"
    "<Tag><Key>b</Key><Value>2</Value></Tag></And></Filter>"
    "<Expiration><Days>9</Days></Expiration>",
}
"""Rules of other programs, by what the SDK's model of them would drop or refuse."""


def _others(storage: Storage, bucket: str) -> list[str]:
    """The rules that are not ours, as the server gives them."""
    root = ElementTree.fromstring(storage._buckets.lifecycle("GET", bucket))
    rules = [rule for rule in root if (rule.findtext("{*}ID") or "").startswith("other")]
    return [ElementTree.tostring(rule, encoding="unicode") for rule in rules]


async def test_a_rule_of_somebody_else_expires_what_it_did_before(
    s3: S3Handle, tmp_path: Path
) -> None:
    s3.require(Can.LIFECYCLE, Can.RULES)
    storage = Storage(settings_for(s3, tmp_path))
    rules = (
        f"<Rule><ID>other-{n}</ID><Status>Enabled</Status>{rule}</Rule>"
        for n, rule in enumerate(OTHERS.values())
    )
    xml = f"<LifecycleConfiguration>{''.join(rules)}</LifecycleConfiguration>"
    storage._buckets.lifecycle("PUT", s3.bucket, xml.encode())
    before = _others(storage, s3.bucket)
    assert len(before) == len(OTHERS)
    for _ in range(2):
        report = await apply(storage, s3.bucket, WANTED)
        assert report.ok, report.warnings
        assert _others(storage, s3.bucket) == before
        assert report.others == (Expiry("logs/", 1), Expiry("tmp/", 3))
    storage.close()


async def test_the_shortest_of_two_rules_on_a_prefix_is_told(s3: S3Handle, tmp_path: Path) -> None:
    s3.require(Can.LIFECYCLE)
    storage = Storage(settings_for(s3, tmp_path))
    await apply(storage, s3.bucket, WANTED)
    xml = storage._buckets.lifecycle("GET", s3.bucket).decode()
    extra = (
        "<Rule><ID>other</ID><Status>Enabled</Status><Filter><Prefix>results/</Prefix></Filter>"
        "<Expiration><Days>2</Days></Expiration></Rule></LifecycleConfiguration>"
    )
    changed = xml.replace("</LifecycleConfiguration>", extra)
    storage._buckets.lifecycle("PUT", s3.bucket, changed.encode())
    report = await check(storage, s3.bucket, WANTED)
    storage.close()
    assert [(rule.state, rule.found_days) for rule in report.rules] == [("ok", 1), ("differs", 2)]


async def test_where_versions_are_kept_they_expire_too(every_s3: S3Handle, tmp_path: Path) -> None:
    from minio.error import S3Error
    from minio.versioningconfig import VersioningConfig

    try:
        every_s3.client().set_bucket_versioning(every_s3.bucket, VersioningConfig("Enabled"))
    except S3Error as error:
        pytest.skip(f"{every_s3.name} keeps no versions: {error.code}")
    storage = Storage(settings_for(every_s3, tmp_path))
    await storage.set_lifecycle(every_s3.bucket, WANTED)
    before = await check(storage, every_s3.bucket, WANTED)
    assert before.versions == "stay"
    assert not before.ok
    assert "keeps versions" in before.warnings[-1]
    after = await apply(storage, every_s3.bucket, WANTED)
    storage.close()
    assert after.ok
    assert after.versions == "expire"
