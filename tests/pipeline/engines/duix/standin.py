"""A stand-in of the Duix container that speaks its recorded contract, quirks included.

- HTTP 200 always, `text/html`, keys sorted, indent 4; bodies are parsed whatever their type says
- accepted: `msg` is the number 10000, not text
- one task at a time; a second submit is answered 10001, with `success` true, and is not queued
- the first query that sees a task's end deletes it; after that it never existed (10004)
- progress goes 5, 10, 20 and then jumps to the end
- single-threaded, as the Flask development server behind it is

Renders by concatenating the reference's pictures as often as the speech lasts, forward or back and
forth by `pn`, with the picture turned grey, so that its work can be told from ours.
"""

from __future__ import annotations

import json
import threading
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import av

STEPS = ((5, "文件下载完成"), (10, ""), (20, "音频特征提取完成"))
MISSING = {
    "audio_url": "audio_url参数缺失",
    "video_url": "video_url参数缺失",
    "code": "code参数缺失",
}


@dataclass
class Behaviour:
    """What goes wrong, beside what always does."""

    fail: str | None = None
    """The task ends with status 3 and this message."""
    busy: int = 0
    """Submits that are answered 10001 first, by somebody else's task."""
    locked: int = 0
    """Submits that are answered 10003 first."""
    broken: bool = False
    """Submits are answered 9999."""
    forget: bool = False
    """The task is lost after its first query, without a file."""
    forget_late: bool = False
    """The task is lost when its file is there: somebody else saw the end."""
    hang: bool = False
    """The task stands at 20 % for ever."""
    lose_answer: bool = False
    """The first submit is taken, but its answer never comes."""
    no_file: bool = False
    """The end is told, but the file is elsewhere."""
    nonsense: int = 0
    """Answers that are an HTML error page first."""


@dataclass
class Container:
    """The running stand-in."""

    url: str
    data: Path
    behave: Behaviour
    submitted: list[dict[str, Any]] = field(default_factory=list)
    """Every accepted submission."""
    refused: int = 0
    tasks: dict[str, dict[str, Any]] = field(default_factory=dict)

    # --- the contract

    def submit(self, body: bytes) -> dict[str, Any]:
        behave = self.behave
        if behave.broken:
            return _reply(9999, "系统异常", success=False)
        if behave.locked > 0:
            behave.locked -= 1
            return _reply(10003, "获取锁异常", success=False)
        fields = json.loads(body)
        for name, text in MISSING.items():
            if not fields.get(name):
                return _reply(10002, text, success=False)
        if behave.busy > 0 or any(task["status"] == 1 for task in self.tasks.values()):
            behave.busy = max(0, behave.busy - 1)
            self.refused += 1
            return _reply(10001, "忙碌中")
        self.submitted.append(fields)
        self.tasks[fields["code"]] = {"status": 1, "asked": 0, "fields": fields}
        return _reply(10000, 10000)

    def query(self, code: str | None) -> dict[str, Any]:
        task = self.tasks.get(code or "")
        if code is None or task is None:
            return _reply(10004, "任务不存在")
        asked, task["asked"] = task["asked"], task["asked"] + 1
        behave = self.behave
        if behave.forget and asked >= 1:
            del self.tasks[code]
            return _reply(10004, "任务不存在")
        if asked < len(STEPS) or behave.hang:
            progress, text = STEPS[min(asked, len(STEPS) - 1)]
            return self._task(code, 1, progress, text, "")
        del self.tasks[code]  # seen once, gone for ever
        if behave.fail is not None:
            return self._task(code, 3, 20, behave.fail, "")
        self._render(code, task["fields"])
        if behave.forget_late:
            return _reply(10004, "任务不存在")
        return self._task(code, 2, 100, "任务完成", f"/{code}-r.mp4")

    def _task(self, code: str, status: int, progress: int, msg: str, result: str) -> dict[str, Any]:
        data = {"code": code, "msg": msg, "progress": progress, "result": result, "status": status}
        return _reply(10000, "", data)

    # --- the work

    def _render(self, code: str, fields: dict[str, Any]) -> None:
        temp = self.data / "temp"
        assert (temp / fields["audio_url"]).is_file(), "bare names are looked for in temp"
        target = temp / (f"elsewhere-{code}" if self.behave.no_file else f"{code}-r.mp4")
        with wave.open(str(temp / fields["audio_url"])) as speech:
            assert (speech.getframerate(), speech.getnchannels()) == (16000, 1)
            seconds = Fraction(speech.getnframes(), 16000)
        _grey_copy(temp / fields["video_url"], target, seconds, fields.get("pn", 1) == "1")


def _reply(
    code: int, msg: str | int, data: dict[str, Any] | None = None, *, success: bool = True
) -> dict[str, Any]:
    return {"code": code, "success": success, "msg": msg, "data": data or {}}


def _grey_copy(source: Path, target: Path, seconds: Fraction, back_and_forth: bool) -> None:
    with av.open(str(source)) as container:
        assert container.streams.video[0].codec_context.name == "h264"
        pictures = [frame.to_ndarray(format="yuv420p") for frame in container.decode(video=0)]
        rate = container.streams.video[0].average_rate
    assert rate is not None
    count = round(seconds * rate)
    n = len(pictures)
    with av.open(str(target), "w", format="mp4") as out:
        stream = out.add_stream("libx264", rate=rate, options={"crf": "15"})
        height = pictures[0].shape[0] * 2 // 3
        stream.width, stream.height, stream.pix_fmt = pictures[0].shape[1], height, "yuv420p"
        for index in range(count):
            place = index % n
            if back_and_forth and n > 1:
                phase = index % (2 * n - 2)
                place = phase if phase < n else 2 * n - 2 - phase
            planes = pictures[place].copy()
            planes[height:] = 128
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
            frame.pts = index
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


@contextmanager
def container(data: Path, behave: Behaviour | None = None) -> Iterator[Container]:
    """Run one on a free port of loopback."""
    made = Container("", data, behave or Behaviour())
    server = HTTPServer(("127.0.0.1", 0), _handler(made))
    made.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(made: Container) -> type[BaseHTTPRequestHandler]:
    """What speaks HTTP for a container."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if urlsplit(self.path).path != "/easy/submit":
                self.send_error(404)
                return
            answer = made.submit(body)
            if made.behave.lose_answer:
                made.behave.lose_answer = False
                return  # the connection ends without a word
            self._say(answer)

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            if parts.path != "/easy/query":
                self.send_error(404)
                return
            if made.behave.nonsense > 0:
                made.behave.nonsense -= 1
                self._send(b"<!doctype html><title>500 Internal Server Error</title>")
                return
            self._say(made.query(parse_qs(parts.query).get("code", [None])[0]))

        def _say(self, answer: dict[str, Any]) -> None:
            text = json.dumps(answer, sort_keys=True, indent=4, ensure_ascii=False)
            self._send(text.encode())

        def _send(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    return Handler
