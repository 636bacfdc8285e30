"""Dead replicas are swept, living ones left alone, and nothing else is ever touched."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from consumer.left_over import bytes_under, remove
from tests.consumer.scratches import age, open_scratch
from tests.support.processes import die_with_parent


def test_what_a_killed_replica_left_is_swept_and_a_living_one_is_not(tmp_path: Path) -> None:
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from tests.consumer.scratches import age, open_scratch\n"
        "scratch = open_scratch(Path(sys.argv[1]))\n"
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
    mine = open_scratch(tmp_path)
    theirs = next(p for p in (tmp_path / "jobs").iterdir() if p != mine.folder)
    age(theirs)
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
    (outside / ".lock").touch()  # as if it were a replica's
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
        age(path)
    scratch = open_scratch(tmp_path / "data")
    scratch.sweep()
    assert (outside / "precious").read_bytes() == b"x"
    assert (outside / ".lock").exists()
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


async def test_this_replica_s_own_folder_stays_when_somebody_took_its_lock(tmp_path: Path) -> None:
    scratch = open_scratch(tmp_path, MAX_FILE_AGE=100)
    async with scratch.job("r1") as folder:
        (folder / "output.mp4").write_bytes(b"x")
        (scratch.folder / ".lock").unlink()
        age(scratch.folder)
        scratch.sweep()
        assert (folder / "output.mp4").exists()
    scratch.close()


def test_a_folder_without_a_lock_is_swept_only_when_old(tmp_path: Path) -> None:
    scratch = open_scratch(tmp_path, MAX_FILE_AGE=100)
    young, old = (tmp_path / "jobs" / f"replica-{c * 16}" for c in "cd")
    for folder in (young, old):
        (folder / "0-job").mkdir(parents=True)
    age(old)
    scratch.sweep()
    assert young.exists()
    assert not old.exists()
    scratch.close()


def test_what_a_replica_leaves_that_dies_before_its_lock_goes_at_once(tmp_path: Path) -> None:
    scratch = open_scratch(tmp_path)
    (tmp_path / "jobs" / "replica-0123456789abcdef").mkdir()
    scratch.sweep()
    assert list((tmp_path / "jobs").iterdir()) == [scratch.folder]
    scratch.close()


def test_a_removal_that_is_cut_short_is_ended_by_the_next_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = open_scratch(tmp_path)
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
        scratch = open_scratch(tmp_path)
    scratch.sweep()
    assert list((tmp_path / "jobs").iterdir()) == [scratch.folder]
    scratch.close()


def test_a_replica_begins_though_its_folder_is_swept_before_the_lock_lies_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    janitor = open_scratch(tmp_path)
    make = Path.mkdir

    def make_and_sweep(path: Path, mode: int = 0o777, **more: bool) -> None:
        make(path, mode, **more)
        if path.parent.name == "jobs":
            monkeypatch.undo()
            janitor.sweep()

    monkeypatch.setattr(Path, "mkdir", make_and_sweep)
    scratch = open_scratch(tmp_path)
    assert (scratch.folder / ".lock").exists()
    scratch.close()
    janitor.close()


def test_bytes_are_counted_in_all_folders_and_behind_no_link(tmp_path: Path) -> None:
    (tmp_path / "outside").write_bytes(b"x" * 1000)
    root = tmp_path / "jobs"
    (root / "deep" / "deeper").mkdir(parents=True)
    (root / "a").write_bytes(b"x" * 10)
    (root / "deep" / "deeper" / "b").write_bytes(b"x" * 5)
    link = root / "link"
    link.symlink_to(tmp_path / "outside")
    assert bytes_under(root) == 15 + link.lstat().st_size
    assert bytes_under(tmp_path / "none") == 0
