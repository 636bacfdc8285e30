"""One thread serves all jobs: shared batches, in order, and no job's trouble is another's."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest
import torch

from pipeline.batching.batcher import Batcher, Lane

FOREVER_S = 3600.0
"""A batch that is not full does not run."""


class Device:
    """Doubles numbers; can be held, and remembers its batches."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.go = threading.Event()
        self.go.set()
        self.begun = threading.Semaphore(0)
        self.room = 10**6

    def __call__(self, items: list[int]) -> Sequence[int]:
        self.batches.append(list(items))
        self.begun.release()
        assert self.go.wait(120)
        if len(items) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        if any(item < 0 for item in items):
            raise ArithmeticError("a negative frame")
        return [2 * item for item in items]


def _take(lane: Lane[int, int], count: int) -> list[int]:
    return [lane.take() for _ in range(count)]


def test_frames_of_two_jobs_share_a_batch_and_come_back_in_order() -> None:
    device = Device()
    batcher = Batcher(device, (8,), FOREVER_S)
    with batcher.open() as one, batcher.open() as two:
        one.submit([0, 1, 2, 3])
        two.submit([10, 11, 12, 13])
        assert _take(one, 4) == [0, 2, 4, 6]
        assert _take(two, 4) == [20, 22, 24, 26]
    assert [sorted(batch) for batch in device.batches] == [[0, 1, 2, 3, 10, 11, 12, 13]]


def test_frames_without_company_run_after_the_longest_wait() -> None:
    batcher = Batcher(Device(), (8,), 0.001)
    with batcher.open() as lane:
        lane.submit([1, 2, 3])
        assert _take(lane, 3) == [2, 4, 6]


def test_job_that_does_not_take_holds_up_nobody() -> None:
    device = Device()
    batcher = Batcher(device, (4,), 0.001)
    with batcher.open() as idle, batcher.open() as busy:
        idle.submit(range(100))
        for n in range(0, 20, 4):
            busy.submit(range(n, n + 4))
            assert _take(busy, 4) == [2 * k for k in range(n, n + 4)]
        assert idle.outstanding == 100


def test_device_without_memory_halves_the_batch_and_nothing_fails() -> None:
    device = Device()
    device.room = 3
    batcher = Batcher(device, (4, 8), FOREVER_S)
    with batcher.open() as lane:
        lane.submit(range(8))
        assert _take(lane, 8) == [2 * n for n in range(8)]
    assert [len(batch) for batch in device.batches] == [8, 4, 2, 2, 2, 2]
    assert batcher.limit == 2


def test_frame_that_does_not_fit_alone_fails_its_job() -> None:
    device = Device()
    device.room = 0
    batcher = Batcher(device, (2,), 0.001)
    with batcher.open() as lane:
        lane.submit([1])
        with pytest.raises(torch.OutOfMemoryError):
            lane.take()


def test_error_reaches_the_jobs_of_its_batch_and_no_others() -> None:
    batcher = Batcher(Device(), (2,), FOREVER_S)
    with batcher.open() as bad, batcher.open() as good:
        bad.submit([-1, -2])
        with pytest.raises(ArithmeticError, match="negative"):
            bad.take()
        good.submit([1, 2])
        assert _take(good, 2) == [2, 4]


def test_a_device_that_is_lost_while_a_batch_is_halved_fails_the_batch_and_hangs_nobody(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    device = Device()
    device.room = 2

    def lost() -> None:
        raise RuntimeError("CUDA error: unspecified launch failure")

    monkeypatch.setattr("pipeline.batching.batcher.give_back_memory", lost)
    batcher = Batcher(device, (4,), 0.001)
    with batcher.open() as lane:
        lane.submit([1, 2, 3, 4])
        for _ in range(4):
            with pytest.raises(RuntimeError, match="launch failure"):
                lane.take()
        lane.submit([5])
        assert lane.take() == 10, "the thread serves on"


def test_closed_lane_drops_what_waits_and_refuses_more() -> None:
    device = Device()
    device.go.clear()
    batcher = Batcher(device, (2,), FOREVER_S)
    with batcher.open() as other:
        lane = batcher.open()
        lane.submit([1, 2, 3, 4])
        assert device.begun.acquire(timeout=120)  # [1, 2] run, [3, 4] wait
        lane.close()
        lane.close()
        with pytest.raises(ValueError, match="closed"):
            lane.submit([5])
        device.go.set()
        other.submit([7, 8])
        assert _take(other, 2) == [14, 16]
    assert device.batches == [[1, 2], [7, 8]]


def test_taking_more_than_was_submitted_is_refused_instead_of_waiting_for_ever() -> None:
    with Batcher(Device(), (2,)).open() as lane, pytest.raises(ValueError, match="nothing"):
        lane.take()


def test_a_job_that_no_thread_can_serve_fails_and_the_next_is_served(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    batcher = Batcher(Device(), (1,))
    with monkeypatch.context() as limited:
        limited.setattr(threading.Thread, "start", refused)
        with pytest.raises(RuntimeError, match="new thread"):
            batcher.open()
    with batcher.open() as lane:
        lane.submit([3])
        assert lane.take() == 6


def test_thread_ends_with_the_last_lane_and_starts_with_the_next() -> None:
    batcher = Batcher(Device(), (1,))
    for _ in range(2):
        before = set(threading.enumerate())
        lane = batcher.open()
        (thread,) = set(threading.enumerate()) - before
        lane.submit([3])
        assert lane.take() == 6
        lane.close()
        thread.join(120)
        assert not thread.is_alive()
