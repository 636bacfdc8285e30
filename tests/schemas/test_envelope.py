"""CloudEvents headers as the Kafka binding has them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from schemas.envelope import Envelope, EventType, read_headers

NOON = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=timezone(timedelta(hours=2)))


def _envelope(**more: str) -> Envelope:
    return Envelope("id-1", "face2face/a", EventType.COMPLETED, NOON, **more)


def test_headers_carry_the_required_attributes_of_cloudevents() -> None:
    assert _envelope(subject="job").headers() == {
        "ce_specversion": "1.0",
        "ce_id": "id-1",
        "ce_source": "face2face/a",
        "ce_type": "com.face2face.completed.v1",
        "ce_time": "2026-03-01T10:00:00.250000Z",
        "ce_dataschema": "urn:face2face:completed.v1",
        "content-type": "application/json",
        "ce_subject": "job",
    }


def test_time_is_rfc_3339_in_utc_and_reads_back() -> None:
    text = _envelope().headers()["ce_time"]
    assert datetime.fromisoformat(text) == NOON.astimezone(UTC)


def test_traceparent_is_passed_on_only_when_there_is_one() -> None:
    assert "traceparent" not in _envelope().headers()
    assert _envelope(traceparent="00-a-b-01").headers()["traceparent"] == "00-a-b-01"


def test_headers_read_back_whatever_bytes_came() -> None:
    raw = [("ce_id", b"a"), ("ce_id", b"b"), ("x", None), ("bad", b"\xff"), ("u", "é".encode())]
    assert read_headers(raw) == {"ce_id": "b", "x": "", "bad": "�", "u": "é"}
    assert read_headers({"ce_id": "a"}) == {"ce_id": "a"}
