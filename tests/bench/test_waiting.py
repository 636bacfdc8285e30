"""What is measured of the interpreter's lock is what those wait who want it."""

from __future__ import annotations

import ctypes

from tests.bench.waiting import Waiting, waiting

HELD_US = 300_000


def test_a_lock_that_is_held_is_seen_as_long_as_it_was_held() -> None:
    with waiting() as found:
        ctypes.PyDLL(None).usleep(HELD_US)  # sleeps, and lets nobody have the lock
    assert max(found.samples) > 0.9e-6 * HELD_US


def test_the_mean_is_of_all_samples() -> None:
    assert Waiting([0.001, 0.003]).mean_ms == 2.0
    assert Waiting().mean_ms == 0.0
