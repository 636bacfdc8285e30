"""What the commands on local files stand on: they import the pipeline, in their own process."""

from __future__ import annotations

import os
import re
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

from consumer.caches import weights_root
from consumer.local.console import CommandError, loading, stoppable
from consumer.settings import Settings
from consumer.workers.processors import available
from schemas.codes import ErrorCode, Stage

_DEVICE = re.compile(r"auto|cpu|cuda(:[0-9]{1,3})?")

DUIX_S = 5.0
"""Longest wait for an answer of the container of the engine duix."""

# libgomp spins by default; on a shared machine that costs more than the work itself. It must be
# set before torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@contextmanager
def typed_errors(*modules: str) -> Iterator[None]:
    """Turn the pipeline's errors into the command line's, and SIGTERM into an interrupt.

    Args:
        modules: what the command needs of the pipeline, loaded before anything is to be tidied.
    """
    with loading():
        from pipeline.errors import PipelineError
        from pipeline.weights import use_weights_root

        for name in modules:
            _load(name)
    use_weights_root(weights_root())
    try:
        with stoppable():
            yield
    except PipelineError as error:
        raise CommandError(error.error_facts()) from error


def _load(module: str) -> None:
    """Import a module; where its libraries do not fit, say which limit is in the way.

    Raises:
        CommandError: OUT_OF_MEMORY, with the bytes that RLIMIT_AS allows.
    """
    try:
        import_module(module)
    except (ImportError, MemoryError) as error:
        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit == resource.RLIM_INFINITY:
            raise
        text = f"{error}: this process may take {limit} bytes of addresses; raise `ulimit -v`"
        raise CommandError.of(ErrorCode.OUT_OF_MEMORY, Stage.PROBE, text) from error


def use_settings() -> None:
    """Let the pipeline follow the settings, as a worker child does."""
    from consumer.workers.rendering import use_settings as use

    use(available())


def check_device(name: str) -> None:
    """Refuse a --device that is none, before anything is loaded that knows more.

    Raises:
        CommandError: names it.
    """
    if not _DEVICE.fullmatch(name):
        raise CommandError.usage(f"--device {name!r} must be auto, cpu, cuda or cuda:N")


def device(name: str) -> str:
    """What torch calls a --device.

    Raises:
        CommandError: ENGINE_UNAVAILABLE, this machine has no such GPU.
    """
    import torch

    if name == "cpu":
        return name
    seen = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return "cuda" if seen else "cpu"
    if int(name.partition(":")[2] or 0) >= seen:
        text = f"--device {name!r}: torch sees {seen} GPUs of CUDA"
        raise CommandError.of(ErrorCode.ENGINE_UNAVAILABLE, Stage.PROBE, text)
    return name


def check_faces() -> None:
    """Look for the face models, which every engine of ours needs; torch is not loaded for it.

    Raises:
        CommandError: WEIGHTS_MISSING, with the command that brings them.
    """
    from pipeline.errors import WeightsMissing
    from pipeline.weights import use_weights_root, verify_faces

    use_weights_root(weights_root())
    try:
        verify_faces()
    except WeightsMissing as error:
        raise CommandError(error.error_facts()) from error


def why_duix_is_silent(settings: Settings) -> str | None:
    """Why the container of the engine duix gives no usable answer; None when it does."""
    from pipeline.engines.duix.client import DuixClient, Patience
    from pipeline.errors import PipelineError

    client = DuixClient(settings.duix_url, settings.data_dir, Patience(call=DUIX_S))
    try:
        client.check()
    except PipelineError as error:
        return error.message
    return None
