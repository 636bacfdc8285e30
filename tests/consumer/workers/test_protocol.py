"""Each message of the pipe as it is written, letter by letter: a change here is seen in review."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from consumer.workers import protocol
from consumer.workers.protocol import (
    Beat,
    Broken,
    Cancel,
    Done,
    Engines,
    Look,
    Message,
    Ready,
    Render,
    RenderAvatars,
    RenderLimits,
    RunTick,
    Unready,
)
from schemas.codes import ErrorCode, Stage
from schemas.device import DeviceMemory
from schemas.render import EngineFacts, ErrorFacts, MediaFacts, RenderReport
from schemas.request import RenderOptions

ENGINE = EngineFacts(name="viseme", version="1", revision="r1")
ERROR = ErrorFacts(code=ErrorCode.NO_FACE, stage=Stage.TRACK, message="no face", retryable=False)
OPTIONS = RenderOptions(fps="25")
REPORT = RenderReport(
    media=MediaFacts(width=2, height=4, fps="25/1", frames=3, duration_s=0.12, audio_rate=16000),
    engine=ENGINE,
    timings_ms={"total": 1.5},
)
_ENGINE = '{"name":"viseme","version":"1","revision":"r1","weights":[],"device":"cpu"}'
_ERROR = '{"code":"NO_FACE","stage":"track","message":"no face","retryable":false,"detail":{}}'
FROM_PARENT: list[tuple[Message, str]] = [
    (
        Render(
            run="cpu-0",
            job_id="j",
            audio="/s/a.wav",
            video="/s/v.mp4",
            output="/s/o.mp4",
            scratch="/s",
            engine="viseme",
            options=OPTIONS,
            limits=RenderLimits(max_pixels=1, max_video_s=2, max_audio_s=3, max_bytes=4),
            threads=2,
            budget_s=60,
            avatars=RenderAvatars(folder="/a", max_bytes=5, keep_free=6),
            video_sha256="ab",
        ),
        '{"kind":"render","run":"cpu-0","job_id":"j","audio":"/s/a.wav","video":"/s/v.mp4",'
        '"output":"/s/o.mp4","scratch":"/s","engine":"viseme",'
        f'"options":{OPTIONS.model_dump_json()},'  # a contract with golden messages of its own
        '"limits":{"max_pixels":1,"max_video_s":2.0,"max_audio_s":3.0,"max_bytes":4},'
        '"threads":2,"budget_s":60.0,"marks":{"container":true,"producer":null,'
        '"credentials":false,"watermark":false,'
        '"certificate":null,"key":null,"identity_dir":"","consent":null},'
        '"avatars":{"folder":"/a","max_bytes":5,"keep_free":6},"video_sha256":"ab"}\n',
    ),
    (Cancel(run="cpu-0"), '{"kind":"cancel","run":"cpu-0"}\n'),
    (Look(), '{"kind":"look"}\n'),
]
FROM_CHILD: list[tuple[Message, str]] = [
    (
        Ready(
            pid=7,
            device="cpu",
            engines=[ENGINE],
            missing={"musetalk": ERROR},
            avatars={"viseme": ["track-1", "viseme-1"]},
            memory=DeviceMemory(total_bytes=9, idle_bytes=4),
            networks={"musetalk paints": "captured"},
            slowed=["musetalk paints"],
        ),
        f'{{"engines":[{_ENGINE}],"missing":{{"musetalk":{_ERROR}}},'
        f'"avatars":{{"viseme":["track-1","viseme-1"]}},"kind":"ready","pid":7,"device":"cpu",'
        f'"memory":{{"total_bytes":9,"idle_bytes":4,"job_bytes":0,"jobs":0}},'
        f'"networks":{{"musetalk paints":"captured"}},"slowed":["musetalk paints"]}}\n',
    ),
    (
        Engines(engines=[ENGINE], missing={"musetalk": ERROR}, avatars={"viseme": ["track-1"]}),
        f'{{"engines":[{_ENGINE}],"missing":{{"musetalk":{_ERROR}}},'
        '"avatars":{"viseme":["track-1"]},"kind":"engines"}\n',
    ),
    (Unready(error=ERROR), f'{{"kind":"unready","error":{_ERROR}}}\n'),
    (
        Beat(runs=[RunTick(run="cpu-0", stage="track", done=1, total=9)]),
        '{"kind":"beat","runs":[{"run":"cpu-0","stage":"track","done":1,"total":9}],'
        '"memory":null,"networks":{},"slowed":[]}\n',
    ),
    (
        Done(run="cpu-0", report=REPORT),
        '{"kind":"done","run":"cpu-0","report":{"media":{"width":2,"height":4,"fps":"25/1",'
        '"frames":3,"duration_s":0.12,"video_codec":"h264","audio_codec":"aac",'
        f'"audio_rate":16000}},"engine":{_ENGINE},"timings_ms":{{"total":1.5}},"quality":{{}},'
        '"spans":[],"face":{},"warnings":[],"labels":{},'
        '"avatar":null}}\n',
    ),
    (Broken(run="cpu-0", error=ERROR), f'{{"kind":"broken","run":"cpu-0","error":{_ERROR}}}\n'),
]


@pytest.mark.parametrize(("message", "line"), FROM_PARENT, ids=lambda value: type(value).__name__)
def test_what_the_parent_says_reads_back_letter_by_letter(message: Message, line: str) -> None:
    assert protocol.encode(message).decode() == line
    assert protocol.read_parent(line.encode()) == message


@pytest.mark.parametrize(("message", "line"), FROM_CHILD, ids=lambda value: type(value).__name__)
def test_what_the_child_says_reads_back_letter_by_letter(message: Message, line: str) -> None:
    assert protocol.encode(message).decode() == line
    assert protocol.read_child(line.encode()) == message


def test_every_message_has_a_snapshot() -> None:
    named = {type(message) for message, _ in FROM_PARENT + FROM_CHILD}
    with_kind = {
        value
        for value in vars(protocol).values()
        if isinstance(value, type) and issubclass(value, Message) and "kind" in value.model_fields
    }
    assert named == with_kind


def test_a_figure_that_is_no_number_does_not_break_the_line() -> None:
    report = REPORT.model_copy(update={"quality": {"score": float("nan")}})
    line = protocol.encode(Done(run="r", report=report))
    read = protocol.read_child(line)
    assert isinstance(read, Done)
    assert read.report.quality == {"score": None}


@pytest.mark.parametrize("line", [b"", b"hello\n", b'{"kind":"done"}\n', b'{"kind":"new"}\n'])
def test_what_is_no_message_is_a_value_error(line: bytes) -> None:
    with pytest.raises(ValidationError):
        protocol.read_child(line)
