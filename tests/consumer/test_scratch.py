"""Scratch goes on every path, dead replicas are swept, and nothing else is ever touched."""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from consumer.faults import Fault
from consumer.left_over import remove
from consumer.scratch import Scratch
from schemas.codes import ErrorCode
from tests.support.handles import S3Handle
from tests.support.processes import die_with_parent
from tests.support.work import settings_for, until


def _scratch(folder: Path, **changes: Any) -> Scratch:
    nowhere = S3Handle("none", "http://127.0.0.1:9", "a", "b", frozenset(), "bucket")
    scratch = Scratch(settings_for(nowhere, folder, **changes))
    scratch.open()
    return scratch


async def test_a_job_folder_goes_at_once_when_the_delay_is_zero(tmp_path: Path) -> None:
    scratch = _scratch(tmp_path)

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
    scratch = _scratch(tmp_path)
    async with scratch.job("same") as one, scratch.job("same") as two:
        assert one != two
    scratch.close()


async def test_finished_files_live_for_the_delay_and_then_go(tmp_path: Path) -> None:
    scratch = _scratch(tmp_path, CLEANUP_DELAY=0.3)
    async with scratch.job("r1") as folder:
        pass
    assert folder.exists()
    janitor = asyncio.create_task(scratch.run_janitor())
    await until(lambda: not folder.exists())
    janitor.cancel()
    scratch.close()


async def test_the_janitor_leaves_running_jobs_alone_however_old(tmp_path: Path) -> None:
    scratch = _scratch(tmp_path, MAX_FILE_AGE=0.001)
    async with scratch.job("r1") as folder:
        stray = scratch.folder / "stray"
        stray.write_bytes(b"x")
        _age(folder)
        _age(stray)
        scratch.sweep()
        assert folder.exists()
        assert not stray.exists()
    scratch.close()


def _age(path: Path) -> None:
    past = time.time() - 10_000
    os.utime(path, (past, past), follow_symlinks=False)


def test_what_a_killed_replica_left_is_swept_and_a_living_one_is_not(tmp_path: Path) -> None:
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from tests.consumer.test_scratch import _scratch\n"
        "scratch = _scratch(Path(sys.argv[1]))\n"
        "(scratch.folder / '0-job').mkdir()\n"
        "sys.stdout.write('open\\n'); sys.stdout.flush()\n"
        "time.sleep(60)\n"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdout=subprocess.PIPE,
        preexec_fn=die_with_parent,
    )
    assert other.stdout is not None
    assert other.stdout.readline() == b"open\n"
    mine = _scratch(tmp_path)
    theirs = next(p for p in (tmp_path / "jobs").iterdir() if p != mine.folder)
    _age(theirs)
    mine.sweep()
    assert (theirs / "0-job").exists(), "it lives, whatever its age"
    other.kill()
    other.wait(120)
    other.stdout.close()
    mine.sweep()
    assert not theirs.exists()
    assert mine.folder.exists()
    mine.close()


def test_nothing_that_is_not_ours_is_touched_and_links_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_bytes(b"x")
    root = tmp_path / "data" / "jobs"
    root.mkdir(parents=True)
    (root / "notes.txt").write_bytes(b"x")
    (root / "replica-notours").mkdir()
    (root / "replica-0123456789abcdef").symlink_to(outside)
    (tmp_path / "data" / "duix.mp4").write_bytes(b"x")
    dead = root / "replica-00000000000000aa"
    dead.mkdir()
    (dead / ".lock").touch()
    (dead / "link").symlink_to(outside)
    trap = root / "replica-00000000000000bb"
    trap.mkdir()
    (trap / ".lock").symlink_to(outside / "precious")
    for path in root.iterdir():
        _age(path)
    scratch = _scratch(tmp_path / "data")
    scratch.sweep()
    assert (outside / "precious").read_bytes() == b"x"
    assert not dead.exists()
    assert {path.name for path in root.iterdir()} == {
        "notes.txt",
        "replica-notours",
        "replica-0123456789abcdef",
        trap.name,
        scratch.folder.name,
    }
    assert (tmp_path / "data" / "duix.mp4").exists()
    scratch.close()


def test_a_folder_without_a_lock_is_swept_only_when_old(tmp_path: Path) -> None:
    scratch = _scratch(tmp_path, MAX_FILE_AGE=100)
    young, old = (tmp_path / "jobs" / f"replica-{c * 16}" for c in "cd")
    for folder in (young, old):
        (folder / "0-job").mkdir(parents=True)
    _age(old)
    scratch.sweep()
    assert young.exists()
    assert not old.exists()
    scratch.close()


def test_what_a_replica_leaves_that_dies_before_its_lock_goes_at_once(tmp_path: Path) -> None:
    scratch = _scratch(tmp_path)
    (tmp_path / "jobs" / "replica-0123456789abcdef").mkdir()
    scratch.sweep()
    assert list((tmp_path / "jobs").iterdir()) == [scratch.folder]
    scratch.close()


def test_a_removal_that_is_cut_short_is_ended_by_the_next_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = _scratch(tmp_path)
    dead = tmp_path / "jobs" / "replica-0123456789abcdef"
    for number in range(3):
        (dead / f"{number}-job").mkdir(parents=True)
    (dead / ".lock").touch()
    removals: list[Path] = []

    def cut_short(path: Path) -> None:
        if removals:
            raise KeyboardInterrupt
        removals.append(path)
        remove(path)

    monkeypatch.setattr("consumer.left_over.remove", cut_short)
    with pytest.raises(KeyboardInterrupt):
        scratch.sweep()
    monkeypatch.undo()
    assert len(list(dead.glob("*-job"))) == 2
    scratch.sweep()
    assert not dead.exists()
    scratch.close()


@pytest.mark.parametrize("meanwhile", ["swept it", "looks at it"])
def test_a_replica_begins_though_a_janitor_takes_its_new_folder_for_a_dead_ones(
    meanwhile: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The instant between the making of a folder and its lock ended the replica at its start."""
    lock_file, looks = fcntl.flock, ExitStack()

    def janitor_first(lock: int, how: int) -> None:
        monkeypatch.undo()
        path = Path(f"/proc/self/fd/{lock}").readlink()
        if meanwhile == "swept it":
            shutil.rmtree(path.parent)
        else:
            lock_file(looks.enter_context(path.open("rb")), fcntl.LOCK_EX)
        lock_file(lock, how)

    monkeypatch.setattr("consumer.scratch.fcntl.flock", janitor_first)
    with looks:
        scratch = _scratch(tmp_path)
    scratch.sweep()
    assert list((tmp_path / "jobs").iterdir()) == [scratch.folder]
    scratch.close()


def test_a_replica_begins_though_its_folder_is_swept_before_the_lock_lies_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    janitor = _scratch(tmp_path)
    make = Path.mkdir

    def make_and_sweep(path: Path, mode: int = 0o777, **more: bool) -> None:
        make(path, mode, **more)
        if path.parent.name == "jobs":
            monkeypatch.undo()
            janitor.sweep()

    monkeypatch.setattr(Path, "mkdir", make_and_sweep)
    scratch = _scratch(tmp_path)
    assert (scratch.folder / ".lock").exists()
    scratch.close()
    janitor.close()


async def test_a_disk_nearly_full_pauses_intake_after_finished_files_were_given_up(
    tmp_path: Path,
) -> None:
    scratch = _scratch(tmp_path, CLEANUP_DELAY=3600, F2F_MIN_FREE_BYTES=2**50)
    async with scratch.job("r1") as folder:
        pass
    assert folder.exists()
    reason = scratch.nearly_full()
    assert reason is not None
    assert "F2F_MIN_FREE_BYTES" in reason
    assert not folder.exists()
    scratch.close()
    roomy = _scratch(tmp_path, F2F_MIN_FREE_BYTES=1)
    assert roomy.nearly_full() is None
    roomy.close()


async def test_a_disk_that_takes_no_more_files_pauses_intake_after_finished_ones_were_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With bytes free and no inode each job failed for good, and fast."""
    scratch = _scratch(tmp_path, CLEANUP_DELAY=3600, F2F_MIN_FREE_BYTES=1)
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
    scratch = _scratch(tmp_path / "data", F2F_MIN_FREE_BYTES=1, CLEANUP_DELAY=0)
    for path in tmp_path.glob(gone):
        path.unlink() if path.is_file() else shutil.rmtree(path)
    assert scratch.nearly_full() is None
    async with scratch.job("r1") as folder:
        other = _scratch(tmp_path / "data")
        other.sweep()
        assert folder.is_dir(), "it is locked as the first one was"
        other.close()
    assert [path.name for path in scratch.folder.iterdir()] == [".lock"]
    scratch.close()


async def test_a_job_that_comes_first_after_a_cleaner_finds_its_folder(tmp_path: Path) -> None:
    scratch = _scratch(tmp_path)
    shutil.rmtree(tmp_path / "jobs")
    async with scratch.job("r1") as folder:
        assert folder.is_dir()
    scratch.close()


def test_a_disk_that_cannot_be_written_pauses_intake_until_it_can(tmp_path: Path) -> None:
    scratch = _scratch(tmp_path, F2F_MIN_FREE_BYTES=1)
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
        _scratch(tmp_path / "file")
    assert caught.value.code is ErrorCode.SCRATCH_FULL
