"""The checker can fail: each doctored history breaks one promise, and is told so."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from schemas.events import Completed, Failed, OutputFacts
from schemas.ids import event_id
from schemas.manifest import AttemptMarker, Lease, Manifest
from schemas.render import EngineFacts, ErrorFacts, MediaFacts
from schemas.request import RenderRequest
from tests.chaos.facts import GroupCommit, History, Obj, Place, Rec
from tests.chaos.history import check
from tests.chaos.reading import finished_runs

NOW = datetime(2026, 1, 1, tzinfo=UTC)
AT = round(NOW.timestamp() * 1000)
MP4 = b"moving picture"
SHA = hashlib.sha256(MP4).hexdigest()
RENDER = "0" * 32


def _request(job_id: str) -> RenderRequest:
    return RenderRequest(job_id=job_id, audio_url="s3://bucket/a.wav", video_url="s3://bucket/v")


def _completed(job_id: str) -> Completed:
    key = f"results/{job_id}/{RENDER}.mp4"
    return Completed(
        job_id=job_id,
        render_id=RENDER,
        output=OutputFacts(
            url=f"s3://bucket/{key}", bucket="bucket", key=key, size=len(MP4), sha256=SHA, etag="e"
        ),
        media=MediaFacts(
            width=64, height=64, fps="25/1", frames=1, duration_s=0.04, audio_rate=16000
        ),
        engine=EngineFacts(name="viseme", version="0", revision="null"),
        timings_ms={},
        inputs={},
        attempt=1,
        finished_at=NOW,
    )


def _failed(job_id: str, render: str | None = RENDER) -> Failed:
    error = ErrorFacts(code="WORKER_CRASHED", stage="generate", message="x", retryable=True)
    return Failed(
        job_id=job_id, render_id=render, error=error, attempt=3, max_attempts=3, failed_at=NOW
    )


def _event(kind: str, event: Completed | Failed, at_ms: int, ce_id: str | None = None) -> Rec:
    render = event.render_id or "rejected"
    headers = {
        "ce_id": ce_id or event_id(event.job_id, render, kind),
        "ce_type": f"com.face2face.{kind}.v1",
    }
    value = event.model_dump_json().encode()
    return Rec(Place(kind, 0, at_ms - AT), at_ms, event.job_id.encode(), value, headers)


def _manifest(job_id: str, **outcome: Any) -> Obj:
    (kind,) = outcome
    manifest = Manifest(
        job_id=job_id,
        render_id=RENDER,
        event_id=event_id(job_id, RENDER, kind),
        outcome=kind,
        request=_request(job_id),
        created_at=NOW,
        **outcome,
    )
    return _object(manifest.model_dump_json().encode())


def _object(data: bytes) -> Obj:
    return Obj(len(data), hashlib.sha256(data).hexdigest(), data)


def _marker(job_id: str, renewed_at: datetime | None) -> Obj:
    lease = None
    if renewed_at is not None:
        lease = Lease(owner="o", token="t", renewed_at=renewed_at, ttl_s=3.0)
    marker = AttemptMarker(
        job_id=job_id, render_id=RENDER, attempt=1, lease=lease, first_started_at=NOW
    )
    return _object(marker.model_dump_json().encode())


def _letter(place: Place, job_id: str, value: bytes | None) -> Rec:
    headers = {
        "f2f-job-id": job_id,
        "f2f-error-code": "WORKER_CRASHED",
        "f2f-original-topic": place.topic,
        "f2f-original-partition": str(place.partition),
        "f2f-original-offset": str(place.offset),
    }
    return Rec(Place("dlq", 0, 0), AT + 30, job_id.encode(), value, headers)


def _sound() -> History:
    """Two jobs, a completed and a failed one, that keep every promise."""
    requests = [
        Rec(Place("requests", 0, n), AT + n, job.encode(), _request(job).model_dump_json().encode())
        for n, job in enumerate(("good", "bad"))
    ]
    mp4 = f"results/good/{RENDER}.mp4"
    return History(
        requests=requests,
        completed=[_event("completed", _completed("good"), AT + 10)],
        failed=[_event("failed", _failed("bad"), AT + 40)],
        dead=[_letter(requests[1].place, "bad", requests[1].value)],
        objects={
            mp4: Obj(len(MP4), SHA),
            f"results/good/{RENDER}.json": _manifest("good", completed=_completed("good")),
            f"results/bad/{RENDER}.json": _manifest("bad", failed=_failed("bad")),
            f"attempts/good/{RENDER}.json": _marker("good", None),
            f"attempts/bad/{RENDER}.json": _marker("bad", NOW - timedelta(minutes=1)),
        },
        commits=[
            GroupCommit("requests", 0, 1, (), AT + 20),
            GroupCommit("requests", 0, 2, (), AT + 60),
        ],
        starts={"good": 1, "bad": 3},
        seen={mp4: {(len(MP4), "e")}},
        kills=2,
        expected={"good": SHA},
        now_ms=AT + 100,
    )


def test_a_history_that_keeps_the_promise_is_let_pass() -> None:
    assert check(_sound()) == []


def _lose(history: History) -> None:
    history.completed.clear()
    del history.objects[f"results/good/{RENDER}.json"]


def _answer_before_it_was_asked(history: History) -> None:
    history.requests.append(
        replace(history.requests[0], place=Place("requests", 1, 0), at_ms=AT + 90)
    )


def _both(history: History) -> None:
    history.failed.append(_event("failed", _failed("good"), AT + 50))
    history.dead.append(_letter(history.requests[0].place, "good", history.requests[0].value))


def _two_ids(history: History) -> None:
    history.completed.append(_event("completed", _completed("good"), AT + 50, ce_id="another"))


def _two_digests(history: History) -> None:
    event = _completed("good")
    event = event.model_copy(update={"output": event.output.model_copy(update={"sha256": "0"})})
    history.completed.append(_event("completed", event, AT + 50))


def _cut_mp4(history: History) -> None:
    history.objects[f"results/good/{RENDER}.mp4"] = Obj(3, hashlib.sha256(b"mov").hexdigest())


def _no_mp4(history: History) -> None:
    del history.objects[f"results/good/{RENDER}.mp4"]
    history.seen.clear()


def _no_manifest(history: History) -> None:
    del history.objects[f"results/good/{RENDER}.json"]


def _second_manifest(history: History) -> None:
    other = Manifest.model_validate_json(history.objects[f"results/good/{RENDER}.json"].data or b"")
    other = other.model_copy(update={"render_id": "1" * 32})
    history.objects[f"results/good/{'1' * 32}.json"] = _object(other.model_dump_json().encode())


def _other_bytes(history: History) -> None:
    history.expected["good"] = "f" * 64


def _orphan(history: History) -> None:
    history.objects["results/gone/x.mp4"] = Obj(3, "f")


def _upload(history: History) -> None:
    history.uploads.append("results/gone/y.mp4")


def _held(history: History) -> None:
    history.objects[f"attempts/bad/{RENDER}.json"] = _marker("bad", NOW)


def _other_letter(history: History) -> None:
    history.dead[0] = replace(history.dead[0], value=b"{}")


def _no_letter(history: History) -> None:
    history.dead.clear()


def _seen_growing(history: History) -> None:
    history.seen[f"results/good/{RENDER}.mp4"].add((3, "d"))


def _rendered_too_often(history: History) -> None:
    history.starts["good"] = 2


def _committed_too_early(history: History) -> None:
    history.commits.insert(0, GroupCommit("requests", 0, 1, (), AT + 5))


def _packed_too_early(history: History) -> None:
    history.commits.insert(0, GroupCommit("requests", 0, 0, ((1, 2),), AT + 30))


def _garbage(history: History) -> None:
    history.completed.append(Rec(Place("completed", 0, 99), AT, b"good", b"{"))


@pytest.mark.parametrize(
    ("doctor", "word"),
    [
        (_lose, "lost"),
        (_answer_before_it_was_asked, "lost"),
        (_both, "both completed and failed"),
        (_two_ids, "event ids"),
        (_two_digests, "digests"),
        (_cut_mp4, "corrupt"),
        (_no_mp4, "without an MP4"),
        (_no_manifest, "without a manifest"),
        (_second_manifest, "2 manifests"),
        (_other_bytes, "what its inputs make"),
        (_orphan, "orphan"),
        (_upload, "multipart"),
        (_held, "held"),
        (_other_letter, "does not carry the bytes"),
        (_no_letter, "without a dead letter"),
        (_seen_growing, "partial"),
        (_rendered_too_often, "rendered again"),
        (_committed_too_early, "committed too early"),
        (_packed_too_early, "committed too early"),
        (_garbage, "no completed event"),
    ],
)
def test_a_doctored_history_is_caught(doctor: Callable[[History], None], word: str) -> None:
    history = _sound()
    doctor(history)
    said = check(history)
    assert any(word in line for line in said), said


def test_a_record_that_was_put_off_may_be_committed_before_its_outcome() -> None:
    history = _sound()
    bad = history.requests[1]
    copy = _letter(bad.place, "bad", bad.value)
    history.retries = [replace(copy, place=Place("retry", 0, 0), at_ms=AT + 15)]
    history.commits.insert(0, GroupCommit("requests", 0, 2, (), AT + 20))
    assert check(history) == []
    history.commits.insert(0, GroupCommit("retry", 0, 1, (), AT + 20))
    assert any("retry/0 at 1" in line for line in check(history))


def test_the_runs_of_a_commit_are_read_by_the_description_of_the_format() -> None:
    packed = base64.b64encode(bytes([3, 2, 0x80 | 5, 1, 1])).decode()
    assert finished_runs(10, f"f2f1r:{packed}") == ((13, 15), (15 + 133, 15 + 134))
    assert finished_runs(10, json.dumps({"someone": "else"})) == ()
