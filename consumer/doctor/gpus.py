"""Checks of torch and of the GPUs that workers would be started on."""

from __future__ import annotations

import os
from collections.abc import Mapping

from consumer.doctor.findings import Finding
from consumer.settings import Settings
from consumer.workers.devices import visible_gpus


def torch_and_gpus(settings: Settings) -> Finding:
    """Whether torch can use the GPUs that the settings name."""
    import torch

    seen = _seen()
    if seen:
        return Finding("torch", "ok", f"torch {torch.__version__} with {', '.join(seen)}")
    wanted = [name for name in settings.devices if name not in ("auto", "cpu")]
    why = None if settings.devices == ("cpu",) else unusable(os.environ)
    if why is not None:
        advice = (
            "Workers would be started on them and never be ready: update the driver, install the"
            " torch that suits it, or set F2F_DEVICES=cpu."
        )
        return Finding("torch", "bad", why, advice)
    if wanted:
        text = f"F2F_DEVICES = {','.join(wanted)!r}, and torch {torch.__version__} sees no GPU"
        return Finding("torch", "bad", text, "Install a driver, or set F2F_DEVICES=cpu.")
    advice = (
        "Nothing, for the engine viseme. For a GPU: install its driver, and not the CPU-only torch."
    )
    return Finding(
        "torch", "ok", f"torch {torch.__version__}, no CUDA: work runs on the CPU", advice
    )


def unusable(environ: Mapping[str, str]) -> str | None:
    """Why torch uses none of the GPUs that the driver knows; None where it does, or knows none."""
    import torch

    names = visible_gpus(environ)
    if not names or torch.cuda.is_available():
        return None
    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
    except (RuntimeError, AssertionError) as error:
        return f"the driver knows {len(names)} GPU(s), but torch {torch.__version__}: {error}"
    return None


def _seen() -> list[str]:
    import torch

    if not torch.cuda.is_available():
        return []
    found = (torch.cuda.get_device_properties(n) for n in range(torch.cuda.device_count()))
    return [f"{gpu.name} {gpu.total_memory / 2**30:.0f} GiB" for gpu in found]
