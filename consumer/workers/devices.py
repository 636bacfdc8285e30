"""Which devices get a worker, found without importing torch, and what a worker may see of ours."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from consumer.settings import Settings, SettingsError
from consumer.workers.processors import share

_PROC, _DEV = Path("/proc/driver/nvidia/gpus"), Path("/dev")
_UUID = re.compile(r"(GPU|MIG)-[0-9A-Za-z/-]+")
_NAME = re.compile(rf"[0-9]+|{_UUID.pattern}")
_KEEP = frozenset(
    {"PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "PYTHONPATH", "VIRTUAL_ENV", "USER"}
    | {"LD_LIBRARY_PATH", "LD_PRELOAD", "XDG_CACHE_HOME", "HF_HOME", "HF_HUB_OFFLINE"}
    | {"PYTHONDONTWRITEBYTECODE", "PYTHONHASHSEED", "MALLOC_ARENA_MAX"}
)
_KEEP_PREFIXES = (
    *("CUDA_", "NVIDIA_", "OMP_", "MKL_", "OPENBLAS_", "TORCH", "PYTORCH_", "TRITON_"),
    *("F2F_WEIGHTS", "F2F_NVDEC", "F2F_ENCODER", "F2F_GPU_", "DUIX_"),
)


@dataclass(frozen=True, slots=True)
class Device:
    """One device and so one worker."""

    label: str
    """Name in logs and metrics: `cpu`, `cuda:0`, …; `cuda:0/2` is the second worker of that GPU."""
    visible: str
    """Value of CUDA_VISIBLE_DEVICES in the child; empty hides all GPUs."""

    @property
    def torch_name(self) -> str:
        """What the child calls it: it sees one GPU at most."""
        return "cuda" if self.visible else "cpu"


def find_devices(
    wanted: tuple[str, ...], environ: Mapping[str, str] | None = None, per_gpu: int = 1
) -> list[Device]:
    """The devices of `F2F_DEVICES`, one for each worker.

    Args:
        wanted: `auto`, `cpu`, or GPUs, by number or UUID.
        environ: of this process by default.
        per_gpu: workers that share one GPU; the CPU has one.

    Raises:
        SettingsError: a GPU is wanted that this process was not given.
    """
    environ = os.environ if environ is None else environ
    if "auto" in wanted:
        wanted = visible_gpus(environ) or ("cpu",)
    else:
        given = _listed(environ)
        wanted = tuple(_named(name.removeprefix("cuda:"), given) for name in wanted)
    names = list(dict.fromkeys(wanted))
    # GPU by GPU, so that the first jobs go to different ones.
    return [
        Device(f"cuda:{name}" + (f"/{turn}" if turn > 1 else ""), name)
        for turn in range(1, per_gpu + 1)
        for name in names
        if name != "cpu"
    ] + [Device("cpu", "") for name in names if name == "cpu"]


def _named(name: str, given: _Given | None) -> str:
    """The name by which CUDA knows a GPU that is wanted."""
    if name == "cpu" or given is None:
        return name
    if name.isdigit():
        if int(name) < len(given.names):
            return given.names[int(name)]
    elif not given.by_uuid or any(_same_gpu(name, each) for each in given.names):
        return name
    count = len(given.names)
    raise SettingsError(
        f"F2F_DEVICES = {name!r}: {given.source} = {given.value!r} shows"
        f" {count} GPU(s) to this process, which are counted from 0; write "
        + ("", "0, ", f"0 to {count - 1}, ")[min(count, 2)]
        + "auto or cpu, or show it more"
    )


def _same_gpu(one: str, other: str) -> bool:
    """UUIDs may be cut short, as CUDA takes them."""
    return one.startswith(other) or other.startswith(one)


def placed(settings: Settings) -> tuple[list[Device], int]:
    """The devices of the settings, one for each worker, and how many processors each worker has."""
    devices = find_devices(settings.devices, per_gpu=settings.workers_per_gpu)
    return devices, share(settings.threads, len(devices))


def visible_gpus(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Names of the GPUs that this process was given; none where torch is built without CUDA.

    The first of these that says something: CUDA_VISIBLE_DEVICES, the container's
    NVIDIA_VISIBLE_DEVICES, the driver, nvidia-smi.
    """
    if _for_processors_alone():
        return ()
    given = _listed(environ)
    return _counted() if given is None else given.names


@dataclass(frozen=True, slots=True)
class _Given:
    """GPUs that somebody lists in the environment."""

    source: str
    value: str
    names: tuple[str, ...]

    @property
    def by_uuid(self) -> bool:
        return not any(name.isdigit() for name in self.names)


def _listed(environ: Mapping[str, str]) -> _Given | None:
    """The list that counts; None where all GPUs are this process's, by the driver's numbers."""
    name = "CUDA_VISIBLE_DEVICES"
    if (value := environ.get(name)) is not None:
        # CUDA stops at the first that is none
        return _Given(name, value, tuple(takewhile(_NAME.fullmatch, _parts(value))))
    name = "NVIDIA_VISIBLE_DEVICES"
    value = environ.get(name, "")
    names = _parts(value)
    # Numbers are the host's there. Parts of a GPU (MIG) have no other name than their UUID, and a
    # privileged container sees all GPUs of the host, whatever it was given.
    if not names or not all(map(_UUID.fullmatch, names)):
        return None
    parts = any(each.startswith("MIG-") for each in names)
    return _Given(name, value, names) if parts or len(names) != len(_counted()) else None


def _parts(value: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _counted() -> tuple[str, ...]:
    if _PROC.is_dir():
        known, given = len(list(_PROC.iterdir())), len(list(_DEV.glob("nvidia[0-9]*")))
        # A container may see all that the host has there, and is given few.
        return tuple(str(n) for n in range(min(known, given or known)))
    return _ask_driver()


def _for_processors_alone() -> bool:
    try:
        return importlib.metadata.version("torch").endswith("+cpu")
    except importlib.metadata.PackageNotFoundError:
        return False


def _ask_driver() -> tuple[str, ...]:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ()
    command = [tool, "--query-gpu=index", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return tuple(done.stdout.split()) if done.returncode == 0 else ()


def child_environ(device: Device, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a worker: what libraries need, by name. No credential is among it."""
    environ = os.environ if environ is None else environ
    kept = {
        name: value
        for name, value in environ.items()
        if name in _KEEP or name.startswith(_KEEP_PREFIXES)
    }
    # Idle OpenMP threads that spin take the processors from decode and encode. GPUs are counted as
    # the driver's tools count them; CUDA puts the fastest first unless it is told.
    return {
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        **kept,
        "OMP_WAIT_POLICY": "PASSIVE",
        "CUDA_VISIBLE_DEVICES": device.visible,
        "PYTHONUNBUFFERED": "1",
    }
