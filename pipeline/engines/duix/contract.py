"""What the container understands and says. Read from its own `app_local.py`.

Every answer is HTTP 200, `text/html`, `{"code", "data", "msg", "success"}`; `msg` is text or a
number. `success` is true for refusals, too: only `code` counts.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from schemas.request import Loop, RenderOptions

ACCEPTED = 10000
BUSY = 10001
LOCKED = 10003
NO_TASK = 10004

RUNNING, DONE, FAILED = 1, 2, 3
TEMP = "temp"
"""Folder under the shared one where bare file names are looked for and results appear."""


class Unintelligible(ValueError):
    """An answer that is none of the contract's."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer."""

    code: int
    msg: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Task:
    """What a query says about a task."""

    status: int
    progress: int
    """Per cent: 5, 10, 20, then nothing until the end."""
    msg: str
    result: str
    """Name of the file, relative to `TEMP`."""


def read_answer(body: bytes) -> Answer:
    """Read an answer's body; raises Unintelligible."""
    try:
        value = json.loads(body)
        data = value.get("data")
        return Answer(
            int(value["code"]), str(value.get("msg", "")), data if isinstance(data, dict) else {}
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unintelligible(f"not an answer of the Duix service: {body[:200]!r}") from error


def read_task(answer: Answer) -> Task:
    """Read the task in a query's answer; raises Unintelligible."""
    try:
        return Task(
            status=int(answer.data["status"]),
            progress=min(100, max(0, int(float(answer.data.get("progress") or 0)))),
            msg=str(answer.data.get("msg") or ""),
            result=str(answer.data.get("result") or ""),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise Unintelligible(f"no task in the answer: {str(answer.data)[:200]}") from error


def submission(code: str, audio: str, video: str, options: RenderOptions) -> bytes:
    """The body of a submit. Switches are the texts '0' and '1'.

    Args:
        audio: file name under `TEMP`.
        video: likewise.
        options: `loop` becomes `pn` (ping-pong or hard loop; a held end is in the file already),
            `enhance` `chaofen`, `watermark` `watermark_switch`. Labels are drawn by us.
    """
    fields = {
        "audio_url": audio,
        "video_url": video,
        "code": code,
        "pn": _switch(options.loop is Loop.PINGPONG),
        "chaofen": _switch(options.enhance),
        "watermark_switch": _switch(options.watermark),
    }
    return json.dumps(fields).encode()


def _switch(on: bool) -> str:
    return "1" if on else "0"
