"""What the container answers is read with suspicion; what it is asked has all that it requires."""

from __future__ import annotations

import json

import pytest

from pipeline.engines.duix.contract import Unintelligible, read_answer, read_task, submission
from schemas.request import RenderOptions


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b"null", b"<html>", b'{"code": "x"}', b'{"code": null}', b"\xff"]
)
def test_other_bodies_are_no_answers(body: bytes) -> None:
    with pytest.raises(Unintelligible):
        read_answer(body)


def test_an_answer_without_a_task_is_no_task() -> None:
    with pytest.raises(Unintelligible):
        read_task(read_answer(b'{"code": 10000, "data": {"progress": 5}}'))


def test_the_number_in_msg_is_read() -> None:
    answer = read_answer(b'{"code": 10000, "success": true, "msg": 10000, "data": null}')
    assert (answer.code, answer.msg, answer.data) == (10000, "10000", {})


def test_the_submission_has_all_required_fields() -> None:
    body = json.loads(submission("c", "a.wav", "v.mp4", RenderOptions()))
    assert {"audio_url", "video_url", "code"} <= set(body)
