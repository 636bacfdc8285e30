"""Bytes become a job, or a reason that names the field, the value and the limit, at once."""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.jobs import Job, Record
from consumer.kafka.admission import Rejection, admit
from consumer.kafka.untrusted_json import MAX_BYTES, MAX_DEPTH
from schemas.codes import ErrorCode, Stage
from schemas.ids import record_job_id
from tests.consumer.records import MINIMAL, make_record

MOST_READINGS = 0.6
"""Of what the JSON library alone takes for as many values as fit into the largest size."""


def _job(record: Record) -> Job:
    found = admit(record)
    assert isinstance(found, Job), found
    return found


def _rejection(record: Record) -> Rejection:
    found = admit(record)
    assert isinstance(found, Rejection), found
    assert found.error.code is ErrorCode.INVALID_REQUEST
    assert found.error.stage is Stage.ADMIT
    assert not found.error.retryable
    return found


def _with(**fields: object) -> bytes:
    return json.dumps({**MINIMAL, **fields}).encode()


def test_the_smallest_message_is_a_job_whose_id_is_the_place_of_the_record() -> None:
    job = _job(make_record())
    assert job.job_id == record_job_id("face2face.requests", 2, 41)
    assert job.request.audio_url == MINIMAL["audio_url"]
    assert job.generation == 0


def test_the_job_id_is_the_requests_then_the_carried_then_the_events() -> None:
    headers = {"ce_id": "event-1", "f2f-job-id": "carried-1"}
    assert _job(make_record(_with(job_id="mine"), headers=headers)).job_id == "mine"
    assert _job(make_record(headers=headers)).job_id == "carried-1"
    assert _job(make_record(headers={"ce_id": "event-1"})).job_id == "event-1"


def test_headers_of_a_replay_are_read() -> None:
    headers = {"f2f-generation": 3, "traceparent": "00-aa-bb-01"}
    job = _job(make_record(headers=headers))
    assert (job.generation, job.traceparent) == (3, "00-aa-bb-01")


def test_unknown_fields_are_ignored_and_a_byte_order_mark_too() -> None:
    assert _job(make_record(b"\xef\xbb\xbf" + _with(colour="blue", nested={"a": [1, 2]})))


HOSTILE = {
    "no value": (b"", "no value"),
    "not JSON": (b"hello", "not JSON"),
    "an MP4": (b"\x00\x00\x00\x18ftypmp42" + bytes(range(128)), "not JSON"),
    "bad UTF-8": (b'{"audio_url": "\xff\xfe"}', "UTF-8: byte 0xff at 15"),
    "raw NUL": (b'{"audio_url": "a\x00b"}', "not JSON"),
    "escaped NUL": (_with(metadata={"a": "b\0c"}), "NUL"),
    "half a surrogate": (_with(consent={"a": "\ud800"}), "surrogate"),
    "half a surrogate as a name": (_with(consent={"\udfff": 1}), "surrogate"),
    "a list": (b"[1, 2]", "a JSON array"),
    "null": (b"null", "a JSON null"),
    "wrong schema": (b'{"audio_url": "s3://bucket/a"}', "'video_url' is missing"),
    "wrong type": (_with(options=7), "options"),
    "wrong value": (_with(options={"crf": 99}), "'options.crf' = 99"),
    "wrong bucket": (_with(audio_url="s3://A_B/k"), "bucket 'A_B'"),
    "too large": (b'{"a": "' + b"x" * (10 * 1024 * 1024) + b'"}', f"at most {MAX_BYTES}"),
    "too large and blank": (b" " * (10 * 1024 * 1024), f"at most {MAX_BYTES}"),
    "deep list": (b"[" * 100_000, "nested deeper"),
    "deep object": (b'{"a":' * 100_000, "nested deeper"),
    "deep enough to break a serializer": (
        _with(consent={"a": json.loads("[" * 300 + "]" * 300)}),
        f"nested deeper than {MAX_DEPTH}",
    ),
    "duplicate field": (
        b'{"audio_url": "s3://bucket/a", "audio_url": "s3://bucket/b"}',
        "'audio_url' is given 2 times",
    ),
    "duplicate deep inside": (
        _with()[:-1] + b', "metadata": {"k": "1", "k": "2"}}',
        "'k' is given",
    ),
    "many duplicates": (b"{" + b",".join([b'"a":1'] * 19_000) + b"}", "19000 times"),
    "huge integer": (
        _with()[:-1] + b', "x": ' + b"9" * 900_000 + b"}",
        "too many digits; at most 256 bits",
    ),
    "large integer": (_with()[:-1] + b', "x": ' + b"9" * 4_000 + b"}", "bits"),
    "infinite number": (_with()[:-1] + b', "options": {"crf": 1e999}}', "too large"),
    "NaN": (_with()[:-1] + b', "options": {"crf": NaN}}', "NaN"),
    "many values": (b"[" + b"1," * 500_000 + b"1]", "commas"),
    "many objects": (b"[" + b"{}," * 19_000 + b"{}]", "array"),
    "too many objects": (b"[" + b"{}," * 300_000 + b"{}]", "commas"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bytes_are_refused_with_a_reason(name: str) -> None:
    value, reason = HOSTILE[name]
    found = _rejection(make_record(value))
    assert reason in found.error.message
    assert len(found.error.message) < 1500
    assert found.job_id == record_job_id("face2face.requests", 2, 41)
    json.dumps(found.error.model_dump(mode="json")).encode()


def test_no_hostile_value_costs_more_than_the_largest_plain_one_or_keeps_memory() -> None:
    plain = b"[" + b"1," * (MAX_BYTES // 2 - 1) + b"1]"
    yardstick = min(_seconds(json.loads, plain) for _ in range(5))
    for name, (value, _) in HOSTILE.items():
        best = min(_seconds(admit, make_record(value)) for _ in range(5))
        assert best < MOST_READINGS * yardstick, (name, best, yardstick)
    tracemalloc.start()
    try:
        for _ in range(3):
            for value, _ in HOSTILE.values():
                admit(make_record(value))
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 2_000_000


def _seconds(call: Callable[[Any], object], argument: object) -> float:
    started = time.thread_time()  # neither other processes nor other threads count
    call(argument)
    return time.thread_time() - started


def test_a_refused_record_keeps_the_id_that_it_named() -> None:
    assert _rejection(make_record(b'{"job_id": "mine"}')).job_id == "mine"
    assert _rejection(make_record(b"x", headers={"ce_id": "event-1"})).job_id == "event-1"
    assert _rejection(make_record(b'{"job_id": "not ok!"}')).job_id == record_job_id(
        "face2face.requests", 2, 41
    )


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"audio_url": 5}, "field 'audio_url' = 5: must be text"),
        ({"audio_url": True}, "field 'audio_url' = true: must be text"),
        ({"metadata": {"a": None}}, "field 'metadata.a' = null: must be text"),
        ({"metadata": ["a"]}, "field 'metadata' = array of 1: must be an object"),
        ({"metadata": {str(n): "" for n in range(65)}}, "= object of 65: must have at most 64 ent"),
        ({"output": "s3://b/p"}, "field 'output' = 's3://b/p': must be an object"),
        ({"output": {"prefix": "p" * 513}}, "must have at most 512 characters"),
        ({"options": {"crf": "good"}}, "field 'options.crf' = 'good': must be a whole number"),
        ({"options": {"crf": True}}, "field 'options.crf' = true: must be a whole number"),
        ({"options": {"max_height": True}}, "'options.max_height' = true: must be a whole"),
        ({"options": {"face": {"box": [0, 0, True, True]}}}, "of finite numbers"),
        ({"deadline": 20301201}, "must be a time with an offset (RFC 3339)"),
        ({"deadline": "20301201"}, "must be a time with an offset (RFC 3339)"),
        ({"deadline": 1.9e9}, "must be a time with an offset (RFC 3339)"),
        ({"deadline": "+1.5e3"}, "must be a time with an offset (RFC 3339)"),
        ({"options": {"crf": 18.5}}, "field 'options.crf' = 18.5: must be a whole number"),
        ({"options": {"crf": 99}}, "'options.crf' = 99: must be less than or equal to 40"),
        ({"options": {"loop": "no"}}, "= 'no': must be 'pingpong', 'repeat' or 'hold'"),
        ({"options": {"label": {"text": ""}}}, "text' = '': must have at least 1 character"),
        ({"job_id": "a b"}, "field 'job_id' = 'a b': must match pattern"),
        ({"options": {"enhance": "very"}}, "must be true or false"),
        ({"options": {"face": "left"}}, "field 'options.face' = 'left': must be \"largest\", or {"),
        ({"options": {"face": {"box": [1, 2, 3]}}}, "field 'options.face' = object of 1: must be"),
        ({"deadline": "2026-12-01T10:00:00"}, "must be a time with an offset (RFC 3339)"),
        ({"deadline": "tomorrow"}, "must be a time with an offset (RFC 3339)"),
    ],
)
def test_a_wrong_value_is_told_in_the_words_of_json(fields: dict[str, object], said: str) -> None:
    """Who reads it may write in any language, and knows no class of ours."""
    found = _rejection(make_record(_with(**fields)))
    assert said in found.error.message
    path = found.error.detail["field"]
    assert found.error.message.startswith(f"field {path!r} = ")
    for part in path.split("."):
        assert re.fullmatch(r"[a-z_0-9]+", part), "a path of the request alone"


def test_a_field_that_is_given_twice_is_named_in_the_details_as_every_other_is() -> None:
    value, _ = HOSTILE["duplicate field"]
    assert _rejection(make_record(value)).error.detail["field"] == "audio_url"


def test_a_generation_that_is_no_number_is_refused_by_name() -> None:
    for text in ("-1", "x", "9" * 30, "", "１"):
        found = _rejection(make_record(headers={"f2f-generation": text}))
        assert "f2f-generation" in found.error.message


@pytest.mark.parametrize("scheme", ["https", "ftp"])
@pytest.mark.parametrize("password", ["hunter2", "hun@ter2", "hun?ter2", "hun/ter2"])
@pytest.mark.parametrize("field", ["audio_url", "engine"])
def test_what_a_location_carries_to_let_others_in_is_never_shown(
    field: str, password: str, scheme: str
) -> None:
    url = f"{scheme}://user:{password}@host/a.wav?X-Amz-Signature=abcdef0123456789"
    found = _rejection(make_record(_with(**{field: url}))).error.model_dump_json()
    assert "host" in found
    for secret in ("hun", "ter2", "user:", "abcdef"):
        assert secret not in found


@given(st.binary(max_size=400))
def test_no_bytes_whatever_make_admission_raise(value: bytes) -> None:
    admit(make_record(value))


@given(st.integers(0, 2**32))
def test_no_damaged_request_raises(seed: int) -> None:
    dice = random.Random(seed)
    value = bytearray(_with(job_id="j", metadata={"a": "é"}, options={"crf": 20, "fps": "29.97"}))
    for _ in range(dice.randrange(1, 6)):
        value[dice.randrange(len(value))] = dice.randrange(256)
    admit(make_record(bytes(value)))


READ = """
import json, sys
from consumer.kafka.admission import Rejection, admit
from tests.consumer.records import MINIMAL, make_record
for fps in ("1e999999999", "1e-999999999", "1e\\u0669\\u0669\\u0669\\u0669\\u0669", "1E+0009_9999"):
    value = json.dumps({**MINIMAL, "options": {"fps": fps}}).encode()
    assert isinstance(admit(make_record(value)), Rejection), fps
"""


def test_a_rate_whose_power_of_ten_fills_the_memory_is_refused_unread() -> None:
    """In a process, as what writes the number out cannot be stopped otherwise."""
    subprocess.run([sys.executable, "-c", READ], timeout=120, check=True)


@pytest.mark.parametrize("fps", [29.97, 25, "25e0", "2.5E1", "30000/1001"])
def test_rates_are_taken_as_any_number_is_written(fps: object) -> None:
    assert _job(make_record(_with(options={"fps": fps}))).request.options.fps == str(fps)


def test_a_field_that_is_null_is_as_good_as_none() -> None:
    nothing = dict.fromkeys(
        ("job_id", "output", "engine", "options", "deadline", "metadata", "consent")
    )
    plain = _job(make_record()).request
    assert _job(make_record(_with(**nothing))).request == plain
    options = {"loop": None, "crf": None, "label": {"text": None, "visible": True}}
    found = _job(make_record(_with(options=options, output={"prefix": None}))).request
    assert (found.options.crf, found.options.loop) == (18, "pingpong")
    assert found.options.label is not None
    assert found.options.label.text == "AI"
    refused = _rejection(make_record(_with(audio_url=None)))
    assert "'audio_url' is missing" in refused.error.message
