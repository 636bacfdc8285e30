"""Compiling a network for a GPU: what it takes, and what it says where it cannot be done."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sysconfig
from collections.abc import Callable
from pathlib import Path

import torch

from pipeline.batching.runner import Network

_COMMON = (RuntimeError, OSError, ImportError, subprocess.SubprocessError)
FAILURES = (*_COMMON, LookupError, AttributeError, TypeError, ValueError, AssertionError)
"""What a compiler or a driver says that lacks something or meets what it does not know: its own
errors, a C compiler's, a full disk's, a user without a name. A defect of the network itself shows
again when it runs as it is."""


def lacking() -> str | None:
    """What torch's compiler needs and does not find here; None where all is there.

    Triton, and for what launches its kernels a C compiler with Python's own headers.
    """
    if importlib.util.find_spec("triton") is None:
        return "the package triton is not installed"
    if not any(map(shutil.which, ("cc", "gcc", "clang"))):
        return "there is no C compiler (cc, gcc or clang)"
    headers = Path(sysconfig.get_path("include", "posix_prefix"), "Python.h")
    return None if headers.is_file() else f"Python's headers are missing ({headers})"


def compiled(network: Network, run: Callable[[Network], None]) -> Network:
    """The network compiled, after it has run.

    Not in parts: where the compiler lacks something, it would try each of some hundred layers.

    Args:
        run: runs it, which compiles it.

    Raises:
        Exception: one of `FAILURES`, what the compiler said.
    """
    made: Network = torch.compile(network, dynamic=False)
    try:
        run(made)
    except _foreign() as error:
        raise RuntimeError(f"{type(error).__name__}: {error}") from error
    return made


def _foreign() -> tuple[type[Exception], ...]:
    """Errors of Triton's own that are none of `FAILURES`."""
    if importlib.util.find_spec("triton") is None:
        return ()
    from triton import errors  # type: ignore[import-untyped]  # heavy: only where it is used

    return (errors.TritonError,)
