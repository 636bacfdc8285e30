"""Job ids that `detect` compares a digest with: this user's, and those of a store."""

from __future__ import annotations

import io
import threading
from pathlib import Path

import pytest

from consumer.caches import jobs_file
from consumer.local import known_jobs
from consumer.local.known_jobs import jobs_of_store, list_jobs, remember, remembered
from consumer.store.storage import Storage
from tests.support.handles import S3Handle
from tests.support.work import settings_for


def test_ids_come_back_newest_first_and_once(tmp_path: Path) -> None:
    path = tmp_path / "new" / "jobs.txt"
    for job in ("a", "b", "a", "c"):
        remember(job, path)
    assert remembered(path) == ["c", "a", "b"]


def test_no_file_is_no_ids_and_what_is_no_id_is_left_out(tmp_path: Path) -> None:
    assert remembered(tmp_path / "none.txt") == []
    (tmp_path / "jobs.txt").write_bytes(b"good\n\xff\xfe\nwith/slash\n" + b"x" * 200 + b"\n")
    assert remembered(tmp_path / "jobs.txt") == ["good"]


def test_file_keeps_the_newest_and_stays_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_jobs, "KEPT", 5)
    path = tmp_path / "jobs.txt"
    for number in range(23):
        remember(f"job-{number}", path)
        assert len(path.read_bytes().split()) < 10
    assert remembered(path)[:5] == [f"job-{n}" for n in range(22, 17, -1)]


def test_renders_at_the_same_time_lose_none(tmp_path: Path) -> None:
    path = tmp_path / "jobs.txt"

    def render_many(who: int) -> None:
        for number in range(40):
            remember(f"{who}-{number}", path)

    threads = [threading.Thread(target=render_many, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(remembered(path)) == 160


def test_file_lies_in_the_users_cache(tmp_path: Path) -> None:
    expected = tmp_path / "face2face" / "jobs.txt"
    assert jobs_file({"XDG_CACHE_HOME": str(tmp_path)}) == expected


def test_without_a_bucket_no_store_is_asked() -> None:
    assert jobs_of_store(None, "") == []


async def test_jobs_of_a_store_are_the_folders_under_results(
    every_s3: S3Handle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_jobs, "_PAGE", 2)
    keys = [f"team/results/job-{n}/{name}" for n in (1, 2, 10) for name in ("a.mp4", "a.json", "b")]
    for key in [*keys, "team/attempts/job-7/x.json", "results/elsewhere/a.mp4"]:
        every_s3.client().put_object(every_s3.bucket, key, io.BytesIO(b"x"), 1)
    storage = Storage(settings_for(every_s3, tmp_path))
    try:
        jobs = await list_jobs(storage, every_s3.bucket, "team/")
    finally:
        storage.close()
    assert jobs == ["job-1", "job-10", "job-2"]
