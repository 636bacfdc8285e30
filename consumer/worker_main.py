"""The worker child: takes renders as JSON lines on stdin, answers on what was its stdout.

The only service module that imports the pipeline, and with it torch. It gets files and a scratch
folder, no credentials, and it dies with its parent: by the kernel (PDEATHSIG) and by the end of
its stdin. Each render runs in a thread of its own; a heartbeat thread shows that the process
lives. A CUDA error ends the process at once, because the context cannot be used any more.

    python -m consumer.worker_main --device cpu [--warm ENGINE] [--render MODULE:FUNCTION] …

FUNCTION has the signature of `pipeline.render.render`; MODULE also has `engines()`, and may have
`avatar_folders(device)`.
"""

from __future__ import annotations

import argparse
import ctypes
import faulthandler
import importlib
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from consumer.caches import weights_root
from consumer.protocol import (
    Beat,
    Broken,
    Cancel,
    Done,
    Message,
    Ready,
    Render,
    RunTick,
    Unready,
    encode,
    read_parent,
)
from schemas.codes import ErrorCode, Stage, facts
from schemas.device import DeviceMemory
from schemas.render import ErrorFacts, RenderReport

if TYPE_CHECKING:
    from pipeline.device_memory import MemoryWatch
    from pipeline.types import RenderSpec, Tick

PIPELINE = "pipeline.render:render"
BEAT_S = 1.0
MAX_FILE_BYTES = 64 * 1024**3
"""No file of a job comes near it; a writer gone wild meets it before the disk is full."""
EXIT_STICKY, EXIT_UNREADY, EXIT_FRESH = 71, 72, 73
_PR_SET_PDEATHSIG = 1
_STICKY = ("CUDA error", "cuDNN error", "CUBLAS_STATUS", "device-side assert", "AcceleratorError")

Renderer = Callable[["RenderSpec", Callable[["Tick"], None]], RenderReport]


def main() -> None:
    """Serve until stdin ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--warm", default=None, metavar="ENGINE")
    parser.add_argument("--processors", type=int, default=0, help="for all its jobs; 0: all")
    parser.add_argument("--max-file-bytes", type=int, default=MAX_FILE_BYTES)
    parser.add_argument("--render", default=PIPELINE, metavar="MODULE:FUNCTION")
    options = parser.parse_args()
    _die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's: it drains first
    faulthandler.enable()
    _limit(options.max_file_bytes)
    _use_weights_root()
    use_settings(options.processors)
    child = Child(_take_stdout(), options.device, options.warm)
    child.serve(options.render)


def _use_weights_root() -> None:
    from pipeline.weights import use_weights_root

    use_weights_root(weights_root())


def use_settings(processors: int) -> None:
    """The few that a render heeds; no others are passed down (`devices.child_environ`).

    `DUIX_*` name the one service that it may call.
    """
    from consumer.settings import load
    from pipeline.engines.duix.place import configure
    from pipeline.hardware import allow

    settings = load()
    configure(settings.duix_url, settings.data_dir)
    allow(
        nvdec=settings.nvdec,
        encoder=settings.encoder,
        largest_batch=settings.gpu_batch,
        processors=processors,
    )


def _die_with_parent() -> None:
    parent = os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def _limit(max_file_bytes: int) -> None:
    from pipeline.sandbox import limit_process

    limit_process(max_file_bytes)


def _take_stdout() -> BinaryIO:
    """Keep the pipe to the parent for messages alone: what libraries print goes to stderr."""
    pipe = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    return pipe


class _Run:
    """One render, as its thread and the heartbeat see it."""

    def __init__(self, order: Render) -> None:
        self.order = order
        self.cancelled = threading.Event()
        self.end = time.monotonic() + order.budget_s
        self.tick = RunTick(run=order.run, stage="probe", done=0, total=0)

    def on_tick(self, tick: Tick) -> None:
        """Note the progress; stop the render when nobody wants it or its time is over."""
        from pipeline.errors import Cancelled, DeadlineExceeded

        run = self.order.run
        self.tick = RunTick(run=run, stage=tick.stage, done=tick.done, total=tick.total)
        if self.cancelled.is_set():
            raise Cancelled("stopped on request", stage=_stage(tick.stage))
        if time.monotonic() > self.end:
            limit = self.order.budget_s
            raise DeadlineExceeded(
                f"the render took longer than its {limit:.0f} s",
                stage=_stage(tick.stage),
                budget_s=limit,
            )


class Child:
    """The process's only object: threads, the pipe, the running renders."""

    def __init__(self, pipe: BinaryIO, device: str, warm: str | None = None) -> None:
        self._pipe = pipe
        self._device = device
        self._warm = warm
        self._write = threading.Lock()
        self._runs: dict[str, _Run] = {}
        self._render: Renderer | None = None
        self._memory: MemoryWatch | None = None

    def serve(self, renderer: str) -> None:
        """Beat, import, say ready, then take orders until the parent is gone."""
        threading.Thread(target=self._beat, name="beat", daemon=True).start()
        ready = self._load(renderer)
        self._send(ready)
        for line in sys.stdin.buffer:
            order = read_parent(line)
            if isinstance(order, Cancel):
                self._cancel(order.run)
            else:
                self._start(order)
        os._exit(0)  # running renders are nobody's any more

    def _load(self, renderer: str) -> Ready:
        module_name, _, function = renderer.partition(":")
        try:
            module = importlib.import_module(module_name)
            self._render = getattr(module, function)
            engines = list(module.engines())
            missing = _missing(self._device) if renderer == PIPELINE else {}
            if renderer == PIPELINE:
                _check_encoder(self._device)
                _load_label_libraries()
                _make_warm([e.name for e in engines if e.name == self._warm], self._device)
            folders = getattr(module, "avatar_folders", None)
            avatars = folders(self._device) if folders else {}
            self._memory = _watch_memory(self._device)
        except Exception as error:  # noqa: BLE001 - told to the parent, whatever it is
            traceback.print_exc()
            self._send(Unready(error=_describe(error, ErrorCode.ENGINE_UNAVAILABLE)))
            os._exit(EXIT_UNREADY)
        return Ready(
            pid=os.getpid(),
            device=self._device,
            engines=engines,
            missing=missing,
            avatars=avatars,
            memory=self._held(),
        )

    def _start(self, order: Render) -> None:
        run = self._runs[order.run] = _Run(order)
        threading.Thread(target=self._work, args=(run,), name=order.run, daemon=True).start()

    def _cancel(self, run: str) -> None:
        if run in self._runs:
            self._runs[run].cancelled.set()

    def _work(self, run: _Run) -> None:
        answer: Message
        sticky = fresh = False
        try:
            assert self._render is not None
            with self._memory.job() if self._memory else nullcontext():
                report = self._render(_spec(run.order, self._device, run.end), run.on_tick)
            answer = Done(run=run.order.run, report=report)
        except Exception as error:  # noqa: BLE001 - one render must not end the others
            error_facts = _describe(error, ErrorCode.INTERNAL)
            if error_facts.code in (ErrorCode.INTERNAL, ErrorCode.ENGINE_FAILED):
                traceback.print_exc()
            sticky = _is_sticky(error)
            fresh = error_facts.code is ErrorCode.OUT_OF_MEMORY and self._device != "cpu"
            answer = Broken(run=run.order.run, error=error_facts)
        del self._runs[run.order.run]
        self._send(answer)
        if sticky:
            os._exit(EXIT_STICKY)
        if fresh and not self._runs:
            os._exit(EXIT_FRESH)  # a new process has all of the device's memory, unfragmented

    def _beat(self) -> None:
        while True:
            runs = [run.tick for run in list(self._runs.values())]
            self._send(Beat(runs=runs, memory=self._held()))
            time.sleep(BEAT_S)

    def _held(self) -> DeviceMemory | None:
        return self._memory.held() if self._memory else None

    def _send(self, message: Message) -> None:
        line = memoryview(encode(message))
        with self._write:
            try:
                while line:
                    line = line[self._pipe.write(line) :]
            except OSError:
                os._exit(0)  # the parent is gone


def _spec(order: Render, device: str, deadline: float) -> RenderSpec:
    from pipeline.mark.choosing import choose_marks
    from pipeline.types import AvatarFolder, Limits, RenderSpec

    kept = order.avatars
    return RenderSpec(
        audio=Path(order.audio),
        video=Path(order.video),
        output=Path(order.output),
        scratch=Path(order.scratch),
        engine=order.engine,
        options=order.options,
        limits=Limits(**order.limits.model_dump()),
        device=device,
        threads=order.threads,
        deadline=deadline,
        job_id=order.job_id,
        marks=choose_marks(**order.marks.model_dump()),
        avatars=AvatarFolder(Path(kept.folder), kept.max_bytes, kept.keep_free) if kept else None,
        video_sha256=order.video_sha256,
    )


def _watch_memory(device: str) -> MemoryWatch | None:
    if device == "cpu":
        return None
    from pipeline.device_memory import watch_memory

    return watch_memory(device)


def _check_encoder(device: str) -> None:
    """Try the GPU's encoder now where one may be used; raises where it is demanded and absent."""
    from pipeline import hardware, nvenc

    if hardware.encoder() != "x264":
        nvenc.chosen(device)


def _load_label_libraries() -> None:
    from pipeline.mark.applying import load_libraries

    load_libraries()


def _make_warm(engines: list[str], device: str) -> None:
    """Load, capture and compile what the first job on a GPU would otherwise wait for."""
    from pipeline.engines import registry

    for name in engines:
        if device != "cpu":
            registry.warm(name, device)


def _missing(device: str) -> dict[str, ErrorFacts]:
    """The engines that this release knows and this machine cannot run."""
    from pipeline.engines import registry

    return {name: error.error_facts() for name, error in registry.missing(device).items()}


def _describe(error: Exception, unknown: ErrorCode) -> ErrorFacts:
    """The error as the pipeline states it; a defect is named by its type and text."""
    from pipeline.errors import PipelineError

    if isinstance(error, PipelineError):
        return error.error_facts()
    code = ErrorCode.OUT_OF_MEMORY if isinstance(error, MemoryError) else unknown
    detail: dict[str, Any] = {"type": type(error).__name__}
    message = f"{type(error).__name__}: {error}"[:3000]
    return ErrorFacts(
        code=code,
        stage=Stage.GENERATE,
        message=f"{message}. {facts(code).advice}",
        retryable=facts(code).retryable,
        detail=detail,
    )


def _is_sticky(error: BaseException) -> bool:
    """True for errors after which a CUDA context stays broken. Out of memory is none of them."""
    link: BaseException | None = error
    while link is not None:
        text = f"{type(link).__name__}: {link}"
        if "out of memory" not in text and any(sign in text for sign in _STICKY):
            return True
        link = link.__cause__ or link.__context__
    return False


def _stage(name: str) -> Stage:
    return Stage(name) if name in Stage.__members__.values() else Stage.GENERATE


if __name__ == "__main__":
    main()
