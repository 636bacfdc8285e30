"""The meter counts each busy second once, in all threads, and costs next to nothing itself."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

from tests.bench.metered import Meter, metered
from tests.bench.operations import counted


def _busy(seconds: float) -> None:
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def test_a_measured_call_inside_another_counts_once() -> None:
    meter = Meter()
    inner = meter.around(lambda: _busy(0.02))
    outer = meter.around(inner)
    start = time.thread_time()
    outer()
    took = time.thread_time() - start
    assert meter.calls == 1
    assert 0.02 <= meter.spent <= took


def test_threads_are_measured_whole_and_files_within_them(tmp_path: Path) -> None:
    file = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)

    def work() -> None:
        _busy(0.05)
        os.pwrite(file, bytes(1 << 20), 0)

    with metered() as meter:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    os.close(file)
    assert meter.calls == 1
    assert meter.threads >= 0.05 + meter.spent
    assert meter.spent > 0


def test_each_step_of_an_iterator_is_measured_and_its_end_ends_it() -> None:
    meter = Meter()
    assert list(meter.each(lambda count: iter(range(count)))(3)) == [0, 1, 2]
    assert meter.calls == 4


def test_calls_of_python_are_counted_in_every_thread_without_what_counting_costs() -> None:
    def nothing() -> None:
        pass

    def work() -> None:
        for _ in range(500):
            nothing()

    with counted(calls=True) as counts:
        work()
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    assert 1000 <= counts.calls <= 1100
    assert not counts.operators
