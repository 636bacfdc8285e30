"""Two pulls into one volume, and what killed ones left there."""

from __future__ import annotations

import fcntl
import queue
import threading
from pathlib import Path

import pytest

from pipeline.pulling import alone


def test_a_second_pull_says_that_it_waits_and_then_goes_on(tmp_path: Path) -> None:
    said: queue.Queue[str] = queue.Queue()

    def second() -> None:
        with alone(tmp_path, said.put, ".*.new"):
            said.put("its turn")

    thread = threading.Thread(target=second)
    with (tmp_path / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        thread.start()
        assert "another pull is at work" in said.get(timeout=120)
        assert said.empty()
    assert said.get(timeout=120) == "its turn"
    thread.join(120)


@pytest.mark.parametrize("folder", [False, True])
def test_what_a_killed_pull_left_makes_room_for_the_next(tmp_path: Path, folder: bool) -> None:
    left, kept = tmp_path / ".pull-x1", tmp_path / "installed.json"
    kept.write_text("{}")
    if folder:
        left.mkdir()
        (left / "wheel").write_bytes(b"half")
    else:
        left.write_bytes(b"half")
    with alone(tmp_path, pytest.fail, ".pull-*"):
        assert not left.exists()
    assert kept.exists()
