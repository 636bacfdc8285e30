"""A renderer without a picture: does what the speech file says, for tests of everything around it.

The speech may be a JSON object; anything else means `{}`:

    sleep    seconds that the render takes, with a tick every 20 ms
    gate     path; the render waits until a file is there, with a tick every 20 ms
    deaf     true: no ticks, so that it cannot be stopped but by a kill
    log      path; one line `start <job_id>` is appended when a render starts
    crash    signal number that the process sends itself
    crashes  how often it crashes, by the lines in `log`; without it always
    heir     path; a process is left behind, with its id in that file, that ends with this one
    stop     true: the process stops its own clock (SIGSTOP)
    error    name of a class in `pipeline.errors` that is raised
    defect   text of a RuntimeError that is raised
    say      text that is printed to stdout
    errno    number of an OSError that is raised
    size     bytes of the output, 4096 when not named
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from pipeline import errors
from pipeline.types import OnTick, RenderSpec, Tick
from schemas.codes import Stage
from schemas.render import EngineFacts, MediaFacts, RenderReport

REVISION = "null-1"
RENDERER = "tests.support.null_render:render"


def engines() -> list[EngineFacts]:
    """The one engine, under the name that requests ask for by default."""
    return [EngineFacts(name="viseme", version="0", revision=REVISION)]


def render(spec: RenderSpec, on_tick: OnTick) -> RenderReport:
    """Write bytes that depend on the inputs alone."""
    speech = spec.audio.read_bytes()
    plan = _plan(speech)
    starts = _note(plan, spec)
    if not plan.get("deaf"):
        on_tick(Tick("generate", 0, 100))
    if "say" in plan:
        os.write(1, f"{plan['say']}\n".encode())
    _rest(plan, on_tick)
    _wait(plan, on_tick)
    if "heir" in plan:
        _leave(Path(plan["heir"]))
    if "crash" in plan and starts <= plan.get("crashes", starts):
        os.kill(os.getpid(), plan["crash"])
        time.sleep(30)
    if plan.get("stop"):
        os.kill(os.getpid(), signal.SIGSTOP)
        time.sleep(30)  # another thread may take the signal, and this one run on for a moment
    if "error" in plan:
        raise getattr(errors, plan["error"])("as the test asked", stage=Stage.GENERATE)
    if "errno" in plan:
        raise OSError(plan["errno"], os.strerror(plan["errno"]))
    if "defect" in plan:
        raise RuntimeError(plan["defect"])
    spec.output.write_bytes(output_bytes(speech, spec.video.read_bytes(), plan.get("size", 4096)))
    return RenderReport(
        media=MediaFacts(
            width=64, height=64, fps="25/1", frames=100, duration_s=4.0, audio_rate=16000
        ),
        engine=engines()[0],
        timings_ms={"generate": 1.0, "total": 1.0},
    )


def output_bytes(speech: bytes, video: bytes, size: int = 4096) -> bytes:
    """What `render` writes for these inputs."""
    seed = hashlib.sha256(speech + b"\0" + video).digest()
    return (seed * (size // len(seed) + 1))[:size]


def _leave(note: Path) -> None:
    command = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    heir = subprocess.Popen(command, stdin=subprocess.PIPE)
    note.write_text(str(heir.pid), encoding="utf-8")


def _plan(speech: bytes) -> dict[str, Any]:
    try:
        plan = json.loads(speech)
    except ValueError:
        return {}
    return plan if isinstance(plan, dict) else {}


def _note(plan: dict[str, Any], spec: RenderSpec) -> int:
    """Append to the log; how many starts it holds now."""
    if "log" not in plan:
        return 1
    path = Path(plan["log"])
    with path.open("a", encoding="utf-8") as log:
        log.write(f"start {spec.job_id}\n")
    return len(path.read_text(encoding="utf-8").splitlines())


def _wait(plan: dict[str, Any], on_tick: OnTick) -> None:
    ticks = 0
    while "gate" in plan and not Path(plan["gate"]).exists():
        time.sleep(0.02)
        ticks += 1
        if not plan.get("deaf"):
            on_tick(Tick("generate", ticks, ticks + 10_000))  # on and on, and never done


def _rest(plan: dict[str, Any], on_tick: OnTick) -> None:
    seconds = float(plan.get("sleep", 0.0))
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(0.02, left))
        if not plan.get("deaf"):
            on_tick(Tick("generate", int(100 * (1 - left / seconds)), 100))
