"""Scratch goes on every path, and a disk that cannot take it pauses the intake."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from consumer.faults import Fault
from schemas.codes import ErrorCode
from tests.consumer.scratches import age, open_scratch
from tests.support.work import until


async def test_a_job_folder_goes_at_once_when_the_delay_is_zero(tmp_path: Path) -> None:
    scratch = open_scratch(tmp_path)

    async def work() -> None:
        async with scratch.job("r1") as folder:
            (folder / "deep").mkdir()
            (folder / "deep" / "file").write_bytes(b"x")
            raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        await work()
    assert [path.name for path in scratch.folder.iterdir()] == [".lock"]
    scratch.close()
    assert list((tmp_path / "jobs").iterdir()) == []


async def test_two_jobs_of_one_render_have_folders_of_their_own(tmp_path: Path) -> None:
    scratch = open_scratch(tmp_path)
    async with scratch.job("same") as one, scratch.job("same") as two:
        assert one != two
    scratch.close()


async def test_nobody_else_reads_what_a_job_fetched(tmp_path: Path) -> None:
    scratch = open_scratch(tmp_path)
    async with scratch.job("r1") as folder:
        assert [path.stat().st_mode & 0o777 for path in (scratch.folder, folder)] == [0o700] * 2
    scratch.close()


async def test_a_job_whose_folder_cannot_be_made_is_told_of_the_disk(tmp_path: Path) -> None:
    scratch = open_scratch(tmp_path)
    shutil.rmtree(scratch.folder)
    scratch.folder.write_bytes(b"")
    with pytest.raises(Fault, match=r"DUIX_DATA_DIR\) cannot be used: Not a directory") as caught:
        async with scratch.job("r1"):
            raise AssertionError("there is no folder")
    assert caught.value.code is ErrorCode.SCRATCH_FULL
    scratch.close()


async def test_the_janitor_sweeps_at_the_start_and_again_and_again(tmp_path: Path) -> None:
    scratch = open_scratch(tmp_path, PERIODIC_CLEANUP_INTERVAL=1)
    stray = scratch.folder / "stray"

    def left() -> None:
        stray.write_bytes(b"x")
        age(stray)

    left()
    janitor = asyncio.create_task(scratch.run_janitor())
    for _ in range(2):
        await until(lambda: not stray.exists())
        left()
    await until(lambda: not stray.exists())
    janitor.cancel()
    scratch.close()


async def test_finished_files_live_for_the_delay_and_then_go(tmp_path: Path) -> None:
    scratch = open_scratch(tmp_path, CLEANUP_DELAY=0.3)
    async with scratch.job("r1") as folder:
        pass
    assert folder.exists()
    janitor = asyncio.create_task(scratch.run_janitor())
    await until(lambda: not folder.exists())
    janitor.cancel()
    scratch.close()


async def test_the_janitor_leaves_running_jobs_alone_however_old(tmp_path: Path) -> None:
    scratch = open_scratch(tmp_path, MAX_FILE_AGE=0.001)
    async with scratch.job("r1") as folder:
        stray = scratch.folder / "stray"
        stray.write_bytes(b"x")
        age(folder)
        age(stray)
        scratch.sweep()
        assert folder.exists()
        assert not stray.exists()
    scratch.close()


async def test_a_disk_nearly_full_pauses_intake_after_finished_files_were_given_up(
    tmp_path: Path,
) -> None:
    scratch = open_scratch(tmp_path, CLEANUP_DELAY=3600, F2F_MIN_FREE_BYTES=2**50)
    async with scratch.job("r1") as folder:
        pass
    assert folder.exists()
    reason = scratch.nearly_full()
    assert reason is not None
    assert "F2F_MIN_FREE_BYTES" in reason
    assert not folder.exists()
    scratch.close()
    roomy = open_scratch(tmp_path, F2F_MIN_FREE_BYTES=1)
    assert roomy.nearly_full() is None
    roomy.close()


async def test_a_disk_that_takes_no_more_files_pauses_intake_after_finished_ones_were_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With bytes free and no inode each job failed for good, and fast."""
    scratch = open_scratch(tmp_path, CLEANUP_DELAY=3600, F2F_MIN_FREE_BYTES=1)
    async with scratch.job("r1") as folder:
        pass
    assert scratch.nearly_full() is None
    monkeypatch.setattr("consumer.scratch.LEAST_FILES", 2**62)
    reason = scratch.nearly_full()
    assert reason is not None
    assert "inodes" in reason
    assert "DUIX_DATA_DIR" in reason
    assert not folder.exists()
    scratch.close()


@pytest.mark.parametrize("gone", ["data", "data/jobs", "data/jobs/*", "data/jobs/*/.lock"])
async def test_a_folder_that_a_cleaner_removed_is_made_anew(gone: str, tmp_path: Path) -> None:
    """Every job failed for good, and fast, on a replica that said ready; or none was taken."""
    scratch = open_scratch(tmp_path / "data", F2F_MIN_FREE_BYTES=1, CLEANUP_DELAY=0)
    for path in tmp_path.glob(gone):
        path.unlink() if path.is_file() else shutil.rmtree(path)
    assert scratch.nearly_full() is None
    async with scratch.job("r1") as folder:
        other = open_scratch(tmp_path / "data")
        other.sweep()
        assert folder.is_dir(), "it is locked as the first one was"
        other.close()
    assert [path.name for path in scratch.folder.iterdir()] == [".lock"]
    scratch.close()


async def test_a_job_that_comes_first_after_a_cleaner_finds_its_folder(tmp_path: Path) -> None:
    scratch = open_scratch(tmp_path)
    shutil.rmtree(tmp_path / "jobs")
    async with scratch.job("r1") as folder:
        assert folder.is_dir()
    scratch.close()


def test_a_disk_that_cannot_be_written_pauses_intake_until_it_can(tmp_path: Path) -> None:
    scratch = open_scratch(tmp_path, F2F_MIN_FREE_BYTES=1)
    jobs = tmp_path / "jobs"
    for place in (scratch.folder, jobs):
        shutil.rmtree(place)
        place.write_bytes(b"in its place")
        assert "cannot be written: Not a directory" in (scratch.nearly_full() or "")
        place.unlink()
        assert scratch.nearly_full() is None
    scratch.close()


def test_a_folder_that_cannot_be_used_is_named_with_its_setting(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(Fault, match="DUIX_DATA_DIR") as caught:
        open_scratch(tmp_path / "file")
    assert caught.value.code is ErrorCode.SCRATCH_FULL
