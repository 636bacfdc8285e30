"""Identities are derived: the same facts give the same text on every machine, for ever."""

from __future__ import annotations

from schemas.ids import choose_job_id, event_id, record_job_id, render_id, wish_id
from schemas.request import RenderRequest

MINIMAL = RenderRequest(audio_url="s3://bucket/a.wav", video_url="s3://bucket/v.mp4")

FULL = RenderRequest.model_validate(
    {
        "audio_url": "s3://bucket/Stimme Ü.wav",
        "video_url": "s3://bucket/v.mp4",
        "options": {"crf": 20, "label": {"text": "合成"}},
        "output": {"prefix": "Kunde Ü/"},
    }
)


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
    assert render_id(FULL, "musetalk", "r7", 3) == "67194c9a50c838b57a39304328223a82"
    assert wish_id(MINIMAL, "viseme") == "7b2932eb95ca7e53c19230fab5db6d39"
    assert wish_id(MINIMAL, "viseme", 2) == "dbece366dc059725fbee6ee995b24d31"
    assert event_id("order-1", "0" * 32, "completed") == "40ad01b9-dd8e-5630-aaac-252708fa342e"


def test_a_render_id_depends_on_all_that_decides_the_picture() -> None:
    first = render_id(MINIMAL, "viseme", "1")

    def other(**fields: object) -> str:
        asked = RenderRequest.model_validate({**MINIMAL.model_dump(), **fields})
        return render_id(asked, "viseme", "1")

    others = {
        other(audio_url="s3://bucket/b.wav"),
        other(video_url="s3://bucket/w.mp4"),
        other(audio_url=MINIMAL.video_url, video_url=MINIMAL.audio_url),
        other(options={"crf": 20}),
        other(output={"bucket": "elsewhere"}),
        other(output={"prefix": "there/"}),
        render_id(MINIMAL, "musetalk", "1"),
        render_id(MINIMAL, "viseme", "2"),
        render_id(MINIMAL, "viseme", "1", generation=1),
    }
    assert len(others) == 9
    assert first not in others


def test_a_render_id_ignores_what_does_not_touch_the_picture() -> None:
    echoed = MINIMAL.model_copy(update={"metadata": {"a": "b"}, "job_id": "x", "consent": {}})
    assert render_id(echoed, "viseme", "1") == render_id(MINIMAL, "viseme", "1")


def test_each_outcome_has_an_event_id_of_its_own() -> None:
    ids = {event_id(j, r, k) for j in "ab" for r in "cd" for k in ("completed", "failed")}
    assert len(ids) == 8
