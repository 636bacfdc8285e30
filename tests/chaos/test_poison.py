"""Jobs and records that can do harm: they end as they must, and nobody else notices."""

from __future__ import annotations

import signal
import statistics
from datetime import datetime
from typing import Any

import pytest

from tests.chaos.conftest import Row
from tests.chaos.facts import Rec
from tests.chaos.history import outcomes
from tests.chaos.rig import Rig
from tests.chaos.scale import Scale

pytestmark = [pytest.mark.chaos, pytest.mark.slow]
MB = 1024 * 1024
RECORDED_MS = 50.0
MOST_PRODUCES = 5.0
"""On a machine that is busy: times what the two bare produces take that such a record needs."""
WARM_ROUNDS = 2
LARGEST_MB = 20.0
"""Less than two copies of the largest record: nothing is kept of any."""


def test_a_job_that_kills_its_worker_on_every_try_fails_alone(
    rig: Rig, scale: Scale, row: Row
) -> None:
    rig.static("a").wait_ready()
    good = [f"good-{n}" for n in range(scale.good)]
    for n, job_id in enumerate(good):
        if n == len(good) // 2:
            rig.submit("bad", {"sleep": 0.05, "crash": int(signal.SIGSEGV)})
        rig.submit(job_id, {"sleep": 0.05})
    rig.settle()
    history = rig.history()
    history.kills = 3  # each crash also ends what its neighbour renders
    rig.judge(history)
    bad = outcomes(history)[next(key for key in outcomes(history) if key[0] == "bad")]
    assert bad.failed is not None
    assert bad.failed.attempt == 3
    assert history.starts["bad"] == 3
    assert bad.failed.error.code == "WORKER_CRASHED"
    letters = [r for r in history.dead if r.headers["f2f-job-id"] == "bad"]
    assert len(letters) == 1
    assert set(rig.ear.completed) == set(good)
    row(
        f"a job that segfaults its worker on every try, among {len(good)} good ones",
        f"exactly 3 attempts, then failed + DLQ; {len(good)} complete",
        f"{history.starts['bad']}, failed + {len(letters)} dead letter; {len(rig.ear.completed)}",
    )


def _each_ms(lines: list[dict[str, Any]]) -> float:
    """Milliseconds from the start of the first to the end of the last, shared by all."""
    ends = [datetime.fromisoformat(line["timestamp"]).timestamp() for line in lines]
    begins: list[float] = [end - line["seconds"] for end, line in zip(ends, lines, strict=True)]
    return 1000 * (max(ends) - min(begins)) / len(lines)


def _place(record: Rec) -> str:
    return "/".join(map(str, record.place))


BAD: dict[str, bytes | None] = {
    "no value": None,
    "empty": b"",
    "not JSON": b"audio and video please",
    "bad UTF-8": b'{"audio_url": "s3://bucket/\xff\xfe"}',
    "NUL": b'{"audio_url": "s3://bucket/a\\u0000b", "video_url": "s3://bucket/v"}',
    "raw NUL": b'{"audio_url": "s3://bucket/a\x00b", "video_url": "s3://bucket/v"}',
    "wrong schema": b'{"audio_url": 7, "video_url": []}',
    "no object": b"[1, 2, 3]",
    "10 MB": b'{"audio_url": "' + b"x" * (10 * MB) + b'"}',
    "nesting 100,000": b"[" * 100_000,
    "closed nesting 100,000": b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "duplicate keys": b'{"audio_url": "s3://b/a", "audio_url": "s3://b/b"}',
    "huge integer": b'{"audio_url": 9' + b"9" * 100_000 + b"}",
    "many commas": b'{"a": [' + b"1," * 400_000 + b"1]}",
}


def test_bad_records_are_each_recorded_and_hold_up_nobody(rig: Rig, scale: Scale, row: Row) -> None:
    replica = rig.static("a")
    replica.wait_ready()
    rig.use_broker(b"x" * 10 * MB)
    sizes, bare = [], []
    rounds = 2 if scale.name == "short" else 10
    for turn in range(rounds + WARM_ROUNDS):
        for n, (name, value) in enumerate(BAD.items()):
            rig.produce(value, f"{name} {turn}", partition=n % 6)
        rig.submit(f"good-{turn}", {})
        rig.settle()
        sizes.append(replica.rss())
        bare += [1000 * rig.two_produces() for _ in range(5)]
    history = rig.judge()
    letters = {(r.key or b"").decode() for r in history.dead}
    assert letters == {f"{name} {turn}" for name in BAD for turn in range(rounds + WARM_ROUNDS)}
    assert len(history.failed) == len(letters)
    turn_of = {_place(r): (r.key or b"").decode().rpartition(" ")[2] for r in history.requests}
    done = [line for line in replica.said("record done") if line["outcome"] == "rejected"]
    turns: dict[str, list[dict[str, Any]]] = {}
    for line in done:
        turns.setdefault(turn_of[line["record"]], []).append(line)
    each = statistics.median(_each_ms(lines) for lines in turns.values())
    middle = statistics.median(line["seconds"] * 1000 for line in done)
    first = max(line["seconds"] * 1000 for line in turns.pop("0"))
    later = [line["seconds"] * 1000 for lines in turns.values() for line in lines]
    above = sum(ms > RECORDED_MS for ms in later)
    least = statistics.median(bare)
    # what is freed may stay with the allocator for a round; what leaks stays in all of them
    grown = (min(sizes[-3:]) - sizes[WARM_ROUNDS - 1]) / MB
    assert middle <= max(RECORDED_MS, MOST_PRODUCES * least) * scale.slow, (middle, least)
    assert grown < LARGEST_MB, [size / MB for size in sizes]
    row(
        f"{len(letters)} bad records (not JSON, NUL, 10 MB, nesting 100,000 …), {len(BAD)} at once",
        "each recorded in ≤ 50 ms; offsets advance; memory flat",
        f"{each:.1f} ms each, where two bare produces take {least:.0f}; begun to ended, among all "
        f"the others, median {middle:.0f} ms, longest {max(later):.0f} ms ({above} above "
        f"{RECORDED_MS:.0f}), in the first burst of a process {first:.0f} ms; all committed; "
        f"{grown:+.1f} MB over {rounds} rounds after the first {WARM_ROUNDS}",
    )


def test_a_bad_record_that_comes_alone_is_recorded_at_once(
    rig: Rig, scale: Scale, row: Row
) -> None:
    replica = rig.static("a")
    replica.wait_ready()
    turns = 2 if scale.name == "short" else 6
    for turn in range(turns):  # the first loads code and opens connections
        for n, (name, value) in enumerate(BAD.items()):
            rig.produce(value, f"{name} {turn}", partition=n % 6)
            rig.settle()
    rig.judge()
    done = [line for line in replica.said("record done") if line["outcome"] == "rejected"]
    assert len(done) == turns * len(BAD)
    took = [line["seconds"] * 1000 for line in done]
    row(
        f"{len(done)} bad records of {len(BAD)} kinds, one after the other",
        "each recorded in ≤ 50 ms",
        f"median {statistics.median(took):.0f} ms, longest {max(took[len(BAD) :]):.0f} ms, in the "
        f"first round {max(took[: len(BAD)]):.0f} ms",
    )
