"""A cancel counts for what was sent before it, wherever it is; and for nothing else."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

from consumer.jobs import Job
from consumer.kafka import control
from consumer.kafka.admission import admit
from consumer.kafka.control import Cancellations
from tests.consumer.records import MINIMAL, make_record


def _job(job_id: str = "j") -> Job:
    job = admit(make_record({**MINIMAL, "job_id": job_id}))
    assert isinstance(job, Job)
    return job


def test_a_running_job_is_told_of_its_own_cancel_alone() -> None:
    known, job = Cancellations(), _job()
    with known.watch(job, sent_ms=100):
        assert not job.cancelled.is_set()
        known.cancel("other", 200)
        assert not job.cancelled.is_set()
        known.cancel("j", 200)
        assert job.cancelled.is_set()


def test_a_job_that_comes_after_its_cancel_was_read_is_told_at_once() -> None:
    known, job = Cancellations(), _job()
    known.cancel("j", 200)
    with known.watch(job, sent_ms=200):
        assert job.cancelled.is_set()


def test_a_request_sent_after_the_cancel_is_a_new_wish() -> None:
    known, job = Cancellations(), _job()
    known.cancel("j", 200)
    with known.watch(job, sent_ms=201):
        assert not job.cancelled.is_set()


def test_cancels_read_in_any_order_count_by_their_time() -> None:
    known, job = Cancellations(), _job()
    known.cancel("j", 300)
    known.cancel("j", 200)
    with known.watch(job, sent_ms=250):
        assert job.cancelled.is_set()


def test_two_records_of_one_job_are_both_told_and_forgotten() -> None:
    known, first, second = Cancellations(), _job(), _job()
    with known.watch(first, 1), known.watch(second, 2):
        known.cancel("j", 1)
        assert first.cancelled.is_set()
        assert not second.cancelled.is_set()
    assert not known._watched


def test_a_cancel_of_before_the_start_counts_and_fills_no_log() -> None:
    """A replica began with a line for each of days, and dropped others for them."""
    known, job = Cancellations(), _job()
    raw = SimpleNamespace(value=b'{"job_id": "j", "action": "cancel"}', offset=0, timestamp=200)
    with capture_logs() as said:
        known.read(raw, old=True)
        known.read(raw)
    assert [line["log_level"] for line in said] == ["debug", "info"]
    with known.watch(job, sent_ms=100):
        assert job.cancelled.is_set()


def test_what_cannot_be_read_is_passed_over() -> None:
    known, job = Cancellations(), _job()
    values: list[bytes | None] = [
        None,
        b"x",
        b"[]",
        b'{"job_id": "j", "action": "explode"}',
        b'{"job_id": "no such/id", "action": "cancel"}',
        b"[" * 60_000,
        b'{"job_id": "' + b"x" * 70_000 + b'", "action": "cancel"}',
        b"\xff",
    ]
    with known.watch(job, 0):
        for value in values:
            known.read(SimpleNamespace(value=value, offset=0, timestamp=5))
        assert not job.cancelled.is_set()
        good = json.dumps({"job_id": "j", "action": "cancel", "why": "?"}).encode()
        known.read(SimpleNamespace(value=good, offset=0, timestamp=5))
        assert job.cancelled.is_set()


def test_a_cancel_is_read_as_a_request_is_and_refused_in_the_same_words() -> None:
    """A byte order mark before it was no JSON, where a request with one was rendered."""
    known, job = Cancellations(), _job()
    good = b'{"job_id": "j", "action": "cancel"}'
    with capture_logs() as said, known.watch(job, 0):
        for value in (b'{"job_id": "j", "action": "stop"}', good + good, good.replace(b"a", b"A")):
            known.read(SimpleNamespace(value=value, offset=0, timestamp=5))
        assert not job.cancelled.is_set()
        known.read(SimpleNamespace(value=b"\xef\xbb\xbf" + good, offset=0, timestamp=5))
        assert job.cancelled.is_set()
    wrong = [line["error"] for line in said if line["event"] == "control record ignored"]
    assert wrong[0] == "action must be 'cancel'"
    assert wrong[1].startswith("the value is not JSON: Extra data")
    assert "pydantic" not in str(wrong)


def test_only_the_newest_cancels_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "MAX_REMEMBERED", 3)
    known = Cancellations()
    for number in range(10):
        known.cancel(f"j{number}", number)
    assert list(known._cancelled) == ["j7", "j8", "j9"]
