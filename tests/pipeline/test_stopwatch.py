"""A render's time is counted by stage."""

from __future__ import annotations

from pipeline.stopwatch import Stopwatch


def test_stopwatch_counts_stages_and_total() -> None:
    watch = Stopwatch()
    watch.add("encode", 0.25)
    watch.add("encode", 0.25)
    assert list(watch.timed("decode", [1, 2])) == [1, 2]
    report = watch.report()
    assert report["encode"] == 500.0
    assert set(report) == {"encode", "decode", "total"}
