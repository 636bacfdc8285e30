"""What a process that renders asks of the pipeline, and what it makes of the answers.

Every import of the pipeline is late, so that whoever only names this module stays light.
"""

from __future__ import annotations

import errno
import logging
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from consumer.caches import weights_root
from consumer.workers.protocol import Render
from schemas.codes import ErrorCode, Stage, facts
from schemas.device import WAYS, Way
from schemas.render import ErrorFacts

if TYPE_CHECKING:
    from pipeline.device_memory import MemoryWatch
    from pipeline.types import RenderSpec

NO_THREAD = "can't start new thread"
"""What Python says in a RuntimeError where clone(2) fails, most often by a limit of processes."""
HANG_S = 120.0
"""A batch takes tenths of a second; several processes on one GPU take turns within seconds."""
_STICKY = (
    *("CUDA error", "cuDNN error", "CUBLAS_STATUS", "device-side assert", "AcceleratorError"),
    "captures_underway",  # torch's allocator after a capture that could not be ended
    "NotMended",  # the same, seen when it was
)


def use_weights_root() -> None:
    """Models lie where the user has them, which the pipeline does not look for itself."""
    from pipeline.weights import use_weights_root

    use_weights_root(weights_root())


def use_settings(processors: int, networks: Way = "compiled") -> None:
    """The few that a render heeds; no others are passed down (`devices.child_environ`).

    `DUIX_*` name the one service that it may call.

    Args:
        processors: for all jobs.
        networks: the best way that they may run on a GPU, if the setting allows it.
    """
    from consumer.settings.load import load
    from pipeline.engines.duix.place import configure
    from pipeline.hardware import allow

    settings = load()
    configure(settings.duix_url, settings.data_dir)
    allow(
        nvdec=settings.nvdec,
        encoder=settings.encoder,
        largest_batch=settings.gpu_batch,
        launching=max(settings.gpu_networks, networks, key=WAYS.index),
        processors=processors,
    )


def get_ready(device: str, warm: str | None) -> None:
    """Do now what the first job would wait for; on a GPU networks are captured and compiled.

    Args:
        warm: an engine that can run here, None for none.

    Raises:
        EngineUnavailable: a GPU's encoder is demanded, and there is none.
    """
    from pipeline import hardware
    from pipeline.engines import registry
    from pipeline.errors import WeightsMissing
    from pipeline.faces import loaded
    from pipeline.mark.applying import load_libraries
    from pipeline.reading import nvdec
    from pipeline.writing import nvenc

    if hardware.use().encoder != "x264":
        nvenc.chosen(device)
    load_libraries()
    if device == "cpu":
        return
    nvdec.look(device)
    if warm is not None:
        registry.warm(warm, device)
    with suppress(WeightsMissing):  # who needs them says so
        loaded.warm(device)


def check_default(engine: str | None, device: str) -> None:
    """Make sure that jobs which name no engine find all that theirs needs on this machine.

    Else each of them would fail, attempt by attempt, on a replica that calls itself ready.

    Raises:
        WeightsMissing: says what is missing, and the command that brings it.
    """
    from pipeline.engines import registry
    from pipeline.errors import WeightsMissing

    if engine is None:
        return
    if (lack := registry.missing(device).get(engine)) is not None:
        text = f"the default engine {engine!r} (F2F_ENGINE) cannot work here: {lack.message}"
        raise WeightsMissing(text, stage=lack.stage, **lack.detail) from lack


def missing(device: str) -> dict[str, ErrorFacts]:
    """The engines that this release knows and this machine cannot run."""
    from pipeline.engines import registry

    return {name: error.error_facts() for name, error in registry.missing(device).items()}


def watched(device: str) -> MemoryWatch | None:
    """What measures a GPU's memory; None on the CPU, without importing anything."""
    if device == "cpu":
        return None
    from pipeline.device_memory import watch_memory

    return watch_memory(device)


def networks(device: str) -> tuple[dict[str, Way], list[str]]:
    """How each network runs on a GPU by now, and which more slowly than tried; without torch."""
    if device == "cpu":
        return {}, []
    from pipeline.batching.ways import slowed, ways

    return ways(), slowed()


def let_the_log_speak() -> None:
    """Send the pipeline's log lines to stderr, where the parent reads them.

    Python alone shows no more than warnings, and what a device was found to do is none.
    """
    said = logging.StreamHandler()
    said.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    log = logging.getLogger("pipeline")
    log.addHandler(said)
    log.setLevel(logging.INFO)
    log.propagate = False


def hangs(device: str) -> bool:
    """Whether a GPU has not answered for so long that it never will: no call says so by itself."""
    if device == "cpu":
        return False
    from pipeline.waits import longest_s

    return longest_s() > HANG_S


def spec_of(order: Render, device: str, deadline: float) -> RenderSpec:
    """An order in the pipeline's words; `deadline` by the monotonic clock, seconds."""
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


def describe(error: Exception, unknown: ErrorCode) -> ErrorFacts:
    """The error as the pipeline states it; a defect is named by its type and text."""
    from pipeline.errors import PipelineError

    if isinstance(error, PipelineError):
        return error.error_facts()
    code = ErrorCode.OUT_OF_MEMORY if _is_exhausted(error) else unknown
    detail: dict[str, Any] = {"type": type(error).__name__}
    message = f"{type(error).__name__}: {error}"[:3000]
    return ErrorFacts(
        code=code,
        stage=Stage.GENERATE,
        message=f"{message}. {facts(code).advice}",
        retryable=facts(code).retryable,
        detail=detail,
    )


def _is_exhausted(error: Exception) -> bool:
    """True where the machine, or the container's limits, gave no memory, process or thread."""
    return (
        isinstance(error, MemoryError)
        or getattr(error, "errno", 0) in (errno.ENOMEM, errno.EAGAIN)
        or (isinstance(error, RuntimeError) and str(error) == NO_THREAD)
    )


def is_sticky(error: BaseException) -> bool:
    """True for errors after which a CUDA context stays broken. Out of memory is none of them."""
    from pipeline.batching import no_memory

    link: BaseException | None = error
    while link is not None:
        text = f"{type(link).__name__}: {link}"
        memory = any(sign in text for sign in no_memory.SIGNS)
        if not memory and any(sign in text for sign in _STICKY):
            return True
        link = link.__cause__ or link.__context__
    return False
