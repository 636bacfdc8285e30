"""The same input makes the same file, whatever else the machine does."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.hardware import allow
from pipeline.writing.permits import Permits
from pipeline.writing.x264 import threads_for
from tests.pipeline.writing.calls import encode, speech


def test_the_same_input_makes_the_same_bytes_whatever_the_processors_and_jobs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audio = speech(tmp_path, 3.0)
    monkeypatch.setattr(
        "pipeline.writing.x264._PIXELS_OF_A_THREAD", 10_000
    )  # 3 threads for small pictures

    def digest(name: str) -> str:
        made = encode(tmp_path / name, audio, 75)
        return hashlib.sha256(made.read_bytes()).hexdigest()

    digests = set()
    for processors in (1, 1, 2, 5):
        allow(processors=processors)
        digests.add(digest("out.mp4"))
    with ThreadPoolExecutor(2) as pool:
        digests |= set(pool.map(digest, ["one.mp4", "two.mp4"]))
    allow(processors=0)
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("width", "height", "threads"),
    [(320, 240, 1), (1280, 720, 1), (1080, 1920, 2), (3840, 2160, 4)],
)
def test_threads_follow_from_the_picture_alone_and_are_written_into_the_file(
    width: int, height: int, threads: int, tmp_path: Path
) -> None:
    allow(processors=3)
    assert threads_for(width, height) == threads
    allow(processors=0)
    path = encode(tmp_path / "out.mp4", speech(tmp_path, 0.2), 5)
    assert b"threads=1 lookahead_threads=1" in path.read_bytes()


def test_encoders_of_many_jobs_never_use_more_threads_than_there_are_processors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audio, peaks = speech(tmp_path, 0.4), [0]
    monkeypatch.setattr(
        "pipeline.writing.x264._PIXELS_OF_A_THREAD", 15_000
    )  # 2 threads for small pictures

    class Watched(Permits):
        def take(self, count: int) -> int:
            taken = super().take(count)
            peaks.append(self._taken)
            return taken

    monkeypatch.setattr("pipeline.writing.turns.encoding", Watched(lambda: 5))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: encode(tmp_path / f"{n}.mp4", audio, 10), range(8)))
    assert 2 <= max(peaks) <= 4, "a third encoder of two threads would be the sixth thread"


def test_no_version_and_no_date_is_written(tmp_path: Path) -> None:
    data = encode(tmp_path / "out.mp4", speech(tmp_path, 0.2), 5).read_bytes()
    assert b"Lavf" not in data
    assert b"Lavc" not in data
    start = data.index(b"mvhd")
    assert data[start + 8 : start + 16] == bytes(8)
