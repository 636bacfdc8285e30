"""A job that changes hands is rendered by one of them, and has one outcome."""

from __future__ import annotations

import asyncio
import io
import time
from pathlib import Path
from typing import Any

import pytest

from consumer.work import outcome
from tests.integration.outcome.stored import LASTING, manifest_of, marker_of
from tests.support import null_render_next
from tests.support.handles import S3Handle
from tests.support.work import (
    job_folders,
    make_job,
    put_inputs,
    replica,
    starts,
    until,
)


async def test_a_replica_that_leaves_gives_the_lease_back_uncounted_and_says_nothing(
    s3: S3Handle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outcome, "LEAVE_S", 60.0)
    log, gate = tmp_path / "log", tmp_path / "gate"
    put_inputs(s3, {"log": str(log), "gate": str(gate)})
    async with replica(s3, tmp_path / "old", F2F_LEASE_S=600) as old:
        task = asyncio.create_task(old.process(make_job(s3)))
        await until(lambda: starts(log) == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert old.memory.kinds() == []
        marker = marker_of(s3)
        assert (marker.attempt, marker.lease) == (0, None)
        assert job_folders(tmp_path / "old") == []
        gate.touch()
        async with replica(s3, tmp_path / "new") as new:
            verdict = await new.process(make_job(s3))
            assert (verdict.kind, verdict.attempt) == ("completed", 1)


async def test_a_replica_that_lost_its_lease_stops_and_announces_what_the_other_made(
    s3: S3Handle, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    put_inputs(s3, {"log": str(log), "sleep": 3})
    short: dict[str, Any] = {
        "F2F_LEASE_S": 4
    }  # and yet long enough for the second one's own renewals
    async with (
        replica(s3, tmp_path / "a", **short) as first,
        replica(s3, tmp_path / "b", **short) as second,
    ):
        task = asyncio.create_task(first.process(make_job(s3)))
        await until(lambda: starts(log) == 1)
        # The first one's renewals stop reaching the store, as in a partition of the network.
        leases = first.processing.processor._leases  # type: ignore[attr-defined]
        put, away = leases.storage.put, True

        async def cut(bucket: str, key: str, data: bytes, **more: Any) -> Any:
            while away and key.startswith("attempts/"):
                await asyncio.sleep(0.05)
            return await put(bucket, key, data, **more)

        leases.storage.put = cut
        other = asyncio.create_task(second.process(make_job(s3)))
        await until(lambda: starts(log) == 2)
        away = False
        verdicts = [await task, await other]
        assert [verdict.kind for verdict in verdicts] == ["completed", "completed"]
        assert verdicts[1].attempt == 2
        ids = {*first.memory.event_ids, *second.memory.event_ids}
        assert ids == {manifest_of(s3).event_id}
        assert len(first.memory.event_ids) == 1


async def test_replicas_of_two_engine_revisions_make_one_outcome_of_a_request(
    s3: S3Handle, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    put_inputs(s3, {"log": str(log), "sleep": 0.6})
    async with (
        replica(s3, tmp_path / "old", **LASTING) as old,
        replica(s3, tmp_path / "new", renderer=null_render_next.RENDERER, **LASTING) as new,
    ):
        first = asyncio.create_task(old.process(make_job(s3)))
        await until(lambda: starts(log) == 1)
        moved = await new.process(make_job(s3))  # its partition moved during the upgrade
        assert (moved.kind, moved.reused, (await first).kind) == ("completed", True, "completed")
        assert new.memory.event_ids == old.memory.event_ids == [manifest_of(s3).event_id]
        for _ in range(2):  # the first look must leave the way to it as it was
            assert (await new.process(make_job(s3))).reused
        assert set(new.memory.event_ids) == set(old.memory.event_ids)
        again = await new.process(make_job(s3, generation=1))
        assert not again.reused, "asked for a render, it renders with what it has"
    assert starts(log) == 2


async def test_a_replica_that_froze_before_its_manifest_writes_none_over_its_successors_head(
    s3: S3Handle, tmp_path: Path
) -> None:
    put_inputs(s3, {})
    holders: list[str] = []
    async with replica(s3, tmp_path) as one:
        storage = one.processing.processor._storage  # type: ignore[attr-defined]
        put, put_if_absent = storage.put, storage.put_if_absent

        async def frozen(bucket: str, key: str, data: bytes, **more: Any) -> Any:
            answer = await put(bucket, key, data, **more)
            if key.endswith(".rendered.json") and not holders:
                _take_over(s3)
                time.sleep(1.1 * one.settings.lease_s)  # the whole process stands still
            return answer

        async def seen(bucket: str, key: str, data: bytes) -> bool:
            lease = marker_of(s3).lease
            holders.append(lease.owner if lease is not None else "nobody")
            return bool(await put_if_absent(bucket, key, data))

        storage.put, storage.put_if_absent = frozen, seen
        verdict = await one.process(make_job(s3))
    assert verdict.kind == "completed"
    assert len(holders) == 1
    assert "successor" not in holders[0]


def _take_over(s3: S3Handle) -> None:
    """Write the marker as a replica does that takes a stale lease, and then dies."""
    marker = marker_of(s3)
    assert marker.lease is not None
    lease = marker.lease.model_copy(update={"owner": "successor/1/x", "token": "another"})
    data = marker.model_copy(update={"lease": lease}).model_dump_json().encode()
    (key,) = [key for key in s3.keys("attempts/") if not key.endswith(".rendered.json")]
    s3.client().put_object(s3.bucket, key, io.BytesIO(data), len(data))
