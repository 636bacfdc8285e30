"""The outcome goes where the request says, and where that cannot be, it is found again."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from consumer.faults import Fault
from consumer.store.outcomes import StoredOutcomes
from schemas.codes import ErrorCode, Stage, facts
from tests.support.accounts import administration, without
from tests.support.handles import S3Handle
from tests.support.work import (
    make_job,
    put_inputs,
    replica,
    starts,
)


async def test_an_output_bucket_that_does_not_exist_fails_the_job_and_is_found_again(
    s3: S3Handle, tmp_path: Path
) -> None:
    put_inputs(s3, {})
    async with replica(s3, tmp_path) as one:
        job = make_job(s3, output={"bucket": "no-such-bucket-here"})
        first, second = await one.process(job), await one.process(job)
        assert (first.code, first.reused) == (ErrorCode.STORE_DENIED, False)
        assert (second.code, second.reused) == (ErrorCode.STORE_DENIED, True)
        assert len(set(one.memory.event_ids)) == 1
        assert str(one.memory.told[0]).count(facts(ErrorCode.STORE_DENIED).advice) == 1


async def test_a_prefix_that_the_store_takes_for_no_name_fails_its_job_and_holds_up_nobody(
    every_s3: S3Handle, tmp_path: Path
) -> None:
    s3, log = every_s3, tmp_path / "log"
    put_inputs(s3, {"log": str(log)})
    async with replica(s3, tmp_path) as one:
        job = make_job(s3, output={"prefix": "s" * 300})
        first, second = await one.process(job), await one.process(job)
        assert (first.reused, second.reused) == (False, True)
        if first.code is not None:  # a store without such limits has the MP4
            assert first.code is second.code is ErrorCode.INVALID_REQUEST
            assert "output.prefix" in str(one.memory.told[0])
            assert starts(log) == 0
        # one store has no file where a folder shall be and says so when the MP4 comes
        below = await one.process(make_job(s3, "job-2", output={"prefix": "inputs/speech.wav/"}))
        assert below.code in (None, ErrorCode.INVALID_REQUEST)
        storage = one.processing.processor._storage  # type: ignore[attr-defined]
        known = await StoredOutcomes(storage, s3.bucket)(job)
        assert [m.outcome for m in known] == [first.kind]


async def test_an_output_bucket_that_refuses_the_mp4_fails_the_job_for_good(
    s3: S3Handle, tmp_path: Path
) -> None:
    log, theirs = tmp_path / "log", f"{s3.bucket}-theirs"
    s3.client().make_bucket(theirs)
    put_inputs(s3, {"log": str(log)})
    async with replica(s3, tmp_path) as one:
        storage = one.processing.processor._storage  # type: ignore[attr-defined]
        put_file = storage.put_file

        async def refuse(bucket: str, *args: Any, **more: Any) -> Any:
            if bucket == theirs:  # as a policy would that lets us read and not write
                raise Fault.of(ErrorCode.STORE_DENIED, Stage.STORE, "AccessDenied")
            return await put_file(bucket, *args, **more)

        storage.put_file = refuse
        job = make_job(s3, output={"bucket": theirs})
        first, second = await one.process(job), await one.process(job)
        assert (first.kind, first.code) == ("failed", ErrorCode.STORE_DENIED)
        assert (second.reused, starts(log)) == (True, 1)
        assert len(set(one.memory.event_ids)) == 1


@pytest.mark.parametrize(
    ("plan", "code"), [({}, ErrorCode.STORE_DENIED), ({"error": "NoFace"}, ErrorCode.NO_FACE)]
)
async def test_an_output_bucket_that_refuses_the_record_of_an_outcome_ends_its_job_all_the_same(
    s3: S3Handle, tmp_path: Path, plan: dict[str, Any], code: ErrorCode
) -> None:
    """It waited for ever, and after three such jobs its replica took no others."""
    theirs = f"{s3.bucket}-theirs"
    s3.client().make_bucket(theirs)
    put_inputs(s3, plan)
    account = without(s3, "s3:PutObject", where=f"arn:aws:s3:::{theirs}/*.json")
    async with replica(account, tmp_path) as one:
        job = make_job(s3, output={"bucket": theirs})
        first, second = await one.process(job), await one.process(job)
        assert (first.kind, first.code, first.reused) == ("failed", code, False)
        assert (second.code, second.reused) == (code, True)
        assert len(set(one.memory.event_ids)) == 1
        storage = one.processing.processor._storage  # type: ignore[attr-defined]
        (found,) = await StoredOutcomes(storage, s3.bucket)(job)
        assert found.failed is not None
        assert found.failed.error.code is code
    assert list(s3.client().list_objects(theirs, recursive=True)) == [], "and no MP4 is left"


async def test_a_result_is_left_alone_where_the_record_of_its_outcome_can_no_longer_be_read(
    s3: S3Handle, tmp_path: Path
) -> None:
    """Its job came again, failed as its bucket could not be read, and took the MP4 along."""
    theirs = f"{s3.bucket}-theirs"
    s3.client().make_bucket(theirs)
    put_inputs(s3, {})
    job = make_job(s3, output={"bucket": theirs})
    async with replica(s3, tmp_path / "before") as one:
        assert (await one.process(job)).kind == "completed"
    account = without(s3, "s3:GetObject", where=f"arn:aws:s3:::{theirs}/*.json")
    async with replica(account, tmp_path / "after") as two:
        assert (await two.process(job)).code is ErrorCode.STORE_DENIED
    left = [each.object_name for each in s3.client().list_objects(theirs, recursive=True)]
    assert sorted(str(name).rpartition(".")[2] for name in left) == ["json", "mp4"]


async def test_a_full_output_bucket_puts_its_job_off_and_takes_the_result_when_there_is_room(
    s3: S3Handle, tmp_path: Path
) -> None:
    """A quota that was met once failed the job for good, and then each try rendered anew."""
    theirs, log = f"{s3.bucket}-theirs", tmp_path / "log"
    s3.client().make_bucket(theirs)
    put_inputs(s3, {"size": 100_000, "log": str(log)})
    quota = administration(s3)
    quota.bucket_quota_set(theirs, 50_000)
    job = make_job(s3, output={"bucket": theirs})
    async with replica(s3, tmp_path / "first") as one:
        for _ in range(2):
            put_off = await one.process(job)
            assert (put_off.kind, put_off.code) == ("retried", ErrorCode.STORE_FULL)
    quota.bucket_quota_clear(theirs)
    async with replica(s3, tmp_path / "second") as two:  # whose disk knows nothing of it
        assert (await two.process(job)).kind == "completed"
        done = two.memory.only("completed")
    assert starts(log) == 1
    there = s3.client().stat_object(theirs, done.output.key)
    assert (there.etag, there.size) == (done.output.etag, 100_000)
    assert [key for key in s3.keys("attempts/") if key.endswith(".mp4")] == []


@pytest.mark.parametrize("damage", ["gone", "other", "refused"])
async def test_what_is_not_kept_of_a_job_that_was_put_off_is_rendered_again(
    s3: S3Handle, tmp_path: Path, damage: str
) -> None:
    theirs, log = f"{s3.bucket}-theirs", tmp_path / "log"
    s3.client().make_bucket(theirs)
    put_inputs(s3, {"size": 100_000, "log": str(log)})
    quota = administration(s3)
    quota.bucket_quota_set(theirs, 50_000)
    place = f"arn:aws:s3:::{s3.bucket}/attempts/*.mp4"
    account = without(s3, "s3:PutObject", where=place) if damage == "refused" else s3
    job = make_job(s3, output={"bucket": theirs})
    async with replica(account, tmp_path) as one:
        assert (await one.process(job)).code is ErrorCode.STORE_FULL
        kept = [key for key in s3.keys("attempts/") if key.endswith(".mp4")]
        assert len(kept) == (0 if damage == "refused" else 1)
        if damage == "gone":
            s3.client().remove_object(s3.bucket, kept[0])
        if damage == "other":
            s3.client().put_object(s3.bucket, kept[0], io.BytesIO(b"x" * 100_000), 100_000)
        quota.bucket_quota_clear(theirs)
        done = await one.process(job)
        assert (done.kind, done.attempt, starts(log)) == ("completed", 2, 2)


async def test_an_output_bucket_that_stays_full_fails_its_job_after_the_last_attempt(
    s3: S3Handle, tmp_path: Path
) -> None:
    theirs = f"{s3.bucket}-theirs"
    s3.client().make_bucket(theirs)
    put_inputs(s3, {"size": 100_000})
    administration(s3).bucket_quota_set(theirs, 50_000)
    async with replica(s3, tmp_path, F2F_MAX_ATTEMPTS=2) as one:
        job = make_job(s3, output={"bucket": theirs})
        verdicts = [await one.process(job) for _ in range(3)]
        assert [v.kind for v in verdicts] == ["retried", "failed", "failed"]
        assert one.memory.kinds() == ["retry", "dead_letter", "failed", "failed"]
        assert theirs in str(one.memory.told[-1])


async def test_results_may_go_to_another_bucket(s3: S3Handle, tmp_path: Path) -> None:
    theirs = f"{s3.bucket}-theirs"
    s3.client().make_bucket(theirs)
    put_inputs(s3, {})
    async with replica(s3, tmp_path) as one:
        job = make_job(s3, output={"bucket": theirs})
        assert [(await one.process(job)).reused for _ in range(2)] == [False, True]
        assert s3.keys("results/") == []
        found = s3.client().list_objects(theirs, prefix="results/", recursive=True)
        assert len(list(found)) == 2


async def test_output_goes_where_the_request_says(s3: S3Handle, tmp_path: Path) -> None:
    put_inputs(s3, {})
    async with replica(s3, tmp_path) as one:
        await one.process(make_job(s3, "..", output={"prefix": "Kunde Ü/50%+"}))
        keys = s3.keys("Kunde")
        assert len(keys) == 2
        assert all(key.startswith("Kunde Ü/50%+/results/(..)/") for key in keys)
