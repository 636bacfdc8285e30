"""Jobs and records that can do harm: they end as they must, and nobody else notices."""

from __future__ import annotations

import base64
import random
import signal
import statistics
from dataclasses import dataclass
from datetime import datetime

import pytest

from tests.chaos.conftest import Row
from tests.chaos.facts import History
from tests.chaos.history import outcomes
from tests.chaos.replica import Replica
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


@dataclass(frozen=True)
class Took:
    """How long one record took, from the start of its work to the end."""

    kind: str
    turn: int
    begin: float
    """Seconds since the epoch, as `end`."""
    end: float

    @property
    def ms(self) -> float:
        """Milliseconds."""
        return 1000 * (self.end - self.begin)


def _took(replica: Replica, history: History) -> list[Took]:
    keys = {"/".join(map(str, r.place)): (r.key or b"").decode() for r in history.requests}
    found = []
    for line in replica.said("record done"):
        if line["outcome"] != "rejected":
            continue
        kind, _, turn = keys[line["record"]].rpartition(" ")
        end = datetime.fromisoformat(line["timestamp"]).timestamp()
        found.append(Took(kind, int(turn), end - line["seconds"], end))
    return found


def _each_ms(took: list[Took]) -> float:
    """Milliseconds from the start of the first to the end of the last, shared by all."""
    return 1000 * (max(t.end for t in took) - min(t.begin for t in took)) / len(took)


def _seen_ms(history: History) -> str:
    """From the broker's time of a record to that of its letter: what somebody outside sees."""
    asked = {r.key: r.at_ms for r in history.requests}
    took = {r.key or b"": r.at_ms - asked[r.key] for r in history.dead}
    last = max(took, key=lambda key: took[key])
    return (
        f"record to letter by the broker's clock median {statistics.median(took.values()):.0f}, "
        f"longest {took[last]} ms ({last.decode()})"
    )


def _longest(took: list[Took]) -> str:
    last = max(took, key=lambda t: t.ms)
    above = sum(t.ms > RECORDED_MS for t in took)
    return f"longest {last.ms:.0f} ms ({last.kind}; {above} above {RECORDED_MS:.0f})"


BASE64 = base64.b64encode(random.Random(1).randbytes(8 * MB))
"""What somebody sends who puts the speech itself into the record."""
NUMBERS = ",".join(f"{n * 0.37:.3f}" for n in range(1_300_000)).encode()

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
ALONE: dict[str, bytes | None] = {
    **BAD,
    "10 MB of base64": b'{"audio_url": "data:audio/wav;base64,' + BASE64[: 10 * MB] + b'"}',
    "10 MB of numbers": b'{"landmarks": [' + NUMBERS[: 10 * MB] + b"0]}",
}
"""Those that come alone; so much at once would be a matter of the network."""


def test_bad_records_are_each_recorded_and_hold_up_nobody(rig: Rig, scale: Scale, row: Row) -> None:
    replica = rig.static("a")
    replica.wait_ready()
    rig.use_broker(BAD["10 MB"])
    sizes, bare, large = [], list[float](), list[float]()
    rounds = 2 if scale.name == "short" else 10
    for turn in range(rounds + WARM_ROUNDS):
        for n, (name, value) in enumerate(BAD.items()):
            rig.produce(value, f"{name} {turn}", partition=n % 6)
        rig.submit(f"good-{turn}", {})
        rig.settle()
        sizes.append(replica.rss())
        bare += [1000 * rig.bare_produce(b"{}", times=2) for _ in range(5)]
        large.append(1000 * rig.bare_produce(BAD["10 MB"]))
    history = rig.judge()
    letters = {(r.key or b"").decode() for r in history.dead}
    assert letters == {f"{name} {turn}" for name in BAD for turn in range(rounds + WARM_ROUNDS)}
    assert len(history.failed) == len(letters)
    took = _took(replica, history)
    first, later = [t for t in took if t.turn == 0], [t for t in took if t.turn]
    turns = [[t for t in took if t.turn == turn] for turn in range(rounds + WARM_ROUNDS)]
    each = statistics.median(map(_each_ms, turns))
    middle = statistics.median(t.ms for t in took)
    least = statistics.median(bare)
    # what is freed may stay with the allocator for a round; what leaks stays in all of them
    grown = (min(sizes[-3:]) - sizes[WARM_ROUNDS - 1]) / MB
    assert middle <= max(RECORDED_MS, MOST_PRODUCES * least) * scale.slow, (middle, least)
    assert grown < LARGEST_MB, [size / MB for size in sizes]
    row(
        f"{len(letters)} bad records (not JSON, NUL, 10 MB, nesting 100,000 …), {len(BAD)} at once",
        "each recorded in ≤ 50 ms; offsets advance; memory flat",
        f"{each:.1f} ms each, where two bare produces take {least:.0f} and one of 10 MB "
        f"{statistics.median(large):.0f}; begun to ended, among all the others, median "
        f"{middle:.0f} ms, {_longest(later)}; in the first burst of a process {_longest(first)}; "
        f"{_seen_ms(history)}; all committed; "
        f"{grown:+.1f} MB over {rounds} rounds after the first {WARM_ROUNDS}",
    )


def test_a_bad_record_that_comes_alone_is_recorded_at_once(
    rig: Rig, scale: Scale, row: Row
) -> None:
    replica = rig.static("a")
    replica.wait_ready()
    rig.use_broker(ALONE["10 MB"], ALONE["10 MB of base64"])
    turns = 2 if scale.name == "short" else 6
    bare: dict[str, list[float]] = {name: [] for name in ALONE}
    for turn in range(turns):  # the first loads code and opens connections
        for n, (name, value) in enumerate(ALONE.items()):
            rig.produce(value, f"{name} {turn}", partition=n % 6)
            rig.settle()
            bare[name].append(1000 * rig.bare_produce(value))
    history = rig.judge()
    took = _took(replica, history)
    assert len(took) == turns * len(ALONE)
    first, later = [t for t in took if t.turn == 0], [t for t in took if t.turn]
    own = [t.ms - statistics.median(bare[t.kind]) for t in later]
    row(
        f"{len(took)} bad records of {len(ALONE)} kinds, one after the other",
        "each recorded in ≤ 50 ms",
        f"median {statistics.median(t.ms for t in took):.0f} ms, {_longest(later)}, in the first "
        f"round {_longest(first)}; beside the median bare produce of the same bytes (10 MB take "
        f"{statistics.median(bare['10 MB of base64']):.0f} ms) at most {max(own):.0f} ms more; "
        f"{_seen_ms(history)}",
    )
