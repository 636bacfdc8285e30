"""Identities are derived: the same facts give the same text on every machine, for ever."""

from __future__ import annotations

from schemas.ids import choose_job_id, event_id, record_job_id, render_id
from schemas.request import RenderRequest

MINIMAL = RenderRequest(audio_url="s3://bucket/a.wav", video_url="s3://bucket/v.mp4")


def test_a_job_id_comes_from_the_request_then_the_event_then_the_place() -> None:
    named = MINIMAL.model_copy(update={"job_id": "order-1"})
    assert choose_job_id(named, "ce", "t", 0, 7) == "order-1"
    assert choose_job_id(MINIMAL, "ce-9", "t", 0, 7) == "ce-9"
    assert choose_job_id(MINIMAL, None, "t", 0, 7) == record_job_id("t", 0, 7)
    assert choose_job_id(MINIMAL, "not valid as an id!", "t", 0, 7) == record_job_id("t", 0, 7)
    assert choose_job_id(MINIMAL, "ends-with-newline\n", "t", 0, 7) == record_job_id("t", 0, 7)


def test_released_identities_never_change() -> None:
    assert record_job_id("face2face.requests", 3, 41) == "b5c35c55-c004-5ddd-8648-5f794d46ebd2"
    assert render_id(MINIMAL, "viseme", "1") == "a18b80ff599ce38330f99695caec3bc2"
    assert event_id("order-1", "0" * 32, "completed") == "40ad01b9-dd8e-5630-aaac-252708fa342e"


def test_a_render_id_depends_on_all_that_decides_the_picture() -> None:
    first = render_id(MINIMAL, "viseme", "1")
    other_audio = MINIMAL.model_copy(update={"audio_url": "s3://bucket/b.wav"})
    others = {
        render_id(other_audio, "viseme", "1"),
        render_id(MINIMAL, "musetalk", "1"),
        render_id(MINIMAL, "viseme", "2"),
        render_id(MINIMAL, "viseme", "1", generation=1),
        render_id(
            RenderRequest.model_validate({**MINIMAL.model_dump(), "options": {"crf": 20}}),
            "viseme",
            "1",
        ),
    }
    assert len(others) == 5
    assert first not in others


def test_a_render_id_ignores_what_does_not_touch_the_picture() -> None:
    echoed = MINIMAL.model_copy(update={"metadata": {"a": "b"}, "job_id": "x", "consent": {}})
    assert render_id(echoed, "viseme", "1") == render_id(MINIMAL, "viseme", "1")


def test_each_outcome_has_an_event_id_of_its_own() -> None:
    ids = {event_id(j, r, k) for j in "ab" for r in "cd" for k in ("completed", "failed")}
    assert len(ids) == 8
