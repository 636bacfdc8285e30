"""One file comes whole, of one version, within its limit, or not at all; nobody is waited for."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest

from consumer.faults import Fault
from consumer.remote import download as module
from consumer.remote.download import (
    DRIP_BYTES,
    DRIP_WINDOW_S,
    RESUMES,
    Changed,
    Cut,
    Opened,
    Stopped,
    Whole,
    download,
)
from schemas.codes import ErrorCode

DATA = bytes(range(256)) * 4


@dataclass
class _Answer:
    """A body in blocks; what is no block is done when its turn comes."""

    blocks: Iterator[bytes | Callable[[], bytes]]
    closed: bool = False

    def read(self, amount: int) -> bytes:
        block = next(self.blocks, b"")
        return block() if callable(block) else block

    def close(self) -> None:
        self.closed = True


@dataclass
class _Source:
    """Answers one after the other; remembers what it was asked for."""

    answers: list[tuple[list[bytes | Callable[[], bytes]], str] | Exception]
    total: int = len(DATA)
    asked: list[tuple[int, str | None]] = field(default_factory=list)
    opened: list[_Answer] = field(default_factory=list)

    def __call__(self, offset: int, etag: str | None) -> Opened:
        self.asked.append((offset, etag))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        blocks, version = answer
        self.opened.append(_Answer(iter(blocks)))
        return Opened(self.opened[-1], self.total, version)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE_S", 0.001)


def _cut() -> bytes:
    raise Cut("the connection broke")


def _fetch(source: _Source, path: Path, limit: int = len(DATA)) -> Whole:
    return download(source, path, limit, "object s3://b/k", threading.Event())


def test_a_file_is_resumed_where_it_broke_off_as_the_version_that_was_begun(tmp_path: Path) -> None:
    source = _Source([([DATA[:300], _cut], "v1"), ([DATA[300:]], "v1")])
    found = _fetch(source, tmp_path / "f")
    assert source.asked == [(0, None), (300, "v1")]
    assert found == Whole(len(DATA), hashlib.sha256(DATA).hexdigest(), "v1")
    assert (tmp_path / "f").read_bytes() == DATA
    assert all(answer.closed for answer in source.opened)


def test_an_answer_that_ends_early_without_a_word_is_not_taken_for_whole(tmp_path: Path) -> None:
    source = _Source([([DATA[:300]], "v1"), ([DATA[300:]], "v1")])
    assert _fetch(source, tmp_path / "f").size == len(DATA)
    assert source.asked[1] == (300, "v1")


def test_a_changed_object_is_begun_again_with_nothing_of_the_old_one(tmp_path: Path) -> None:
    new = DATA[::-1]
    source = _Source([([b"o" * 900, _cut], "v1"), Changed(), ([new], "v2")])
    found = _fetch(source, tmp_path / "f")
    assert source.asked == [(0, None), (900, "v1"), (0, None)]
    assert (found.sha256, found.etag) == (hashlib.sha256(new).hexdigest(), "v2")
    assert (tmp_path / "f").read_bytes() == new


def test_a_smaller_version_leaves_nothing_of_the_larger_one_behind_it(tmp_path: Path) -> None:
    small = _Source([([DATA[:100]], "v2")], total=100)
    large = _Source([([b"o" * 900, _cut], "v1"), Changed()])

    def open_at(offset: int, etag: str | None) -> Opened:
        return (small if len(large.asked) == 2 else large)(offset, etag)

    found = download(open_at, tmp_path / "f", len(DATA), "object", threading.Event())
    assert (found.size, (tmp_path / "f").read_bytes()) == (100, DATA[:100])


def test_a_source_that_brings_nothing_time_after_time_is_given_up(tmp_path: Path) -> None:
    source = _Source([Cut("no answer")])
    with pytest.raises(
        Fault, match=f"broke off {RESUMES + 1} times at byte 0: no answer"
    ) as caught:
        _fetch(source, tmp_path / "f")
    assert caught.value.code is ErrorCode.STORE_UNAVAILABLE
    assert len(source.asked) == RESUMES + 1
    assert not (tmp_path / "f").exists()


def test_a_source_that_brings_something_each_time_is_never_given_up(tmp_path: Path) -> None:
    step = len(DATA) // 16
    parts = [DATA[n : n + step] for n in range(0, len(DATA), step)]
    source = _Source([([part, _cut], "v") for part in parts])
    source.answers.append(([], "v"))
    assert _fetch(source, tmp_path / "f").size == len(DATA)
    assert len(source.asked) == 17 > RESUMES


def test_bytes_that_come_forgive_the_cuts_before_them(tmp_path: Path) -> None:
    none: list[Exception] = [Cut("no answer")] * (RESUMES - 1)
    source = _Source([*none, ([DATA[:9], _cut], "v"), *none, ([DATA[9:]], "v")])
    assert _fetch(source, tmp_path / "f").size == len(DATA)


def test_an_object_that_changes_without_end_is_given_up(tmp_path: Path) -> None:
    source = _Source([Changed()])
    with pytest.raises(Fault, match="it changes while it is read"):
        _fetch(source, tmp_path / "f")
    assert len(source.asked) == RESUMES + 1


@pytest.mark.parametrize("told", [len(DATA) + 1, len(DATA)])
def test_what_is_larger_than_the_limit_is_refused_before_or_while_it_comes(
    told: int, tmp_path: Path
) -> None:
    source = _Source([([DATA, b"more"], "v")], total=told)
    with pytest.raises(Fault) as caught:
        _fetch(source, tmp_path / "f")
    assert caught.value.code is ErrorCode.INPUT_TOO_LARGE
    assert source.opened[0].closed
    assert not (tmp_path / "f").exists()


def test_a_drip_is_cut_and_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would tie up a place for as long as it likes."""
    now = 0.0
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now))

    def late(block: bytes, seconds: float) -> Callable[[], bytes]:
        def read() -> bytes:
            nonlocal now
            now += seconds
            return block

        return read

    fast = DRIP_BYTES
    data = bytes(fast + 600)
    source = _Source(
        [
            # A window that brought enough, then one that did not.
            (
                [late(data[:fast], DRIP_WINDOW_S), late(data[:99], DRIP_WINDOW_S)],
                "v",
            ),
            ([data[fast + 99 :]], "v"),
        ],
        total=len(data),
    )
    found = _fetch(source, tmp_path / "f", len(data))
    assert source.asked == [(0, None), (fast + 99, "v")]
    assert found.sha256 == hashlib.sha256(data).hexdigest()


def test_who_is_waited_for_no_longer_stops_at_the_next_block(tmp_path: Path) -> None:
    stop = threading.Event()

    def leave() -> bytes:
        stop.set()
        return DATA[:100]

    source = _Source([([leave, DATA[100:]], "v")])
    with pytest.raises(Stopped):
        download(source, tmp_path / "f", len(DATA), "object", stop)
    assert source.opened[0].closed
    assert not (tmp_path / "f").exists()


def test_who_is_waited_for_no_longer_does_not_ask_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAUSE_S", 60.0)
    stop = threading.Event()
    stop.set()
    source = _Source([Cut("no answer")])
    with pytest.raises(Stopped):
        download(source, tmp_path / "f", len(DATA), "object", stop)
    assert len(source.asked) == 1
