"""How many processors this container may use: the system's, its affinity, its cgroup's quota."""

from __future__ import annotations

import os
from pathlib import Path

_CGROUPS, _OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def available(cgroups: Path = _CGROUPS, own: Path = _OWN) -> int:
    """Processors for this process and its children, at least 1.

    A quota of 1.5 counts as 2: what is rounded down would never be used.

    Args:
        own: the process's cgroups; inside a container both usually show the container as the root.
    """
    affine = getattr(os, "sched_getaffinity", None)
    seen = len(affine(0)) if affine is not None else os.cpu_count() or 1
    quotas = [quota for quota in (_v2(cgroups, own), _v1(cgroups, own)) if quota is not None]
    return max(1, min([seen, *(-int(-quota // 1) for quota in quotas)]))


def share(fixed: int | None, workers: int) -> int:
    """Processors of one worker.

    Args:
        fixed: `F2F_THREADS`; None for `auto`.
        workers: of this replica.
    """
    return fixed if fixed is not None else max(1, available() // max(1, workers))


def _v2(cgroups: Path, own: Path) -> float | None:
    """The smallest quota from the process's own cgroup up to the root."""
    quotas = []
    for folder in _upwards(cgroups, own, ""):
        words = _words(folder / "cpu.max")
        if len(words) == 2 and words[0] != "max":
            quotas.append(int(words[0]) / int(words[1]))
    return min(quotas, default=None)


def _v1(cgroups: Path, own: Path) -> float | None:
    quotas = []
    for folder in _upwards(cgroups / "cpu", own, "cpu"):
        quota, period = (_words(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
        if quota and period and int(quota[0]) > 0:
            quotas.append(int(quota[0]) / int(period[0]))
    return min(quotas, default=None)


def _upwards(root: Path, own: Path, controller: str) -> list[Path]:
    """The process's folder and those above it, as far as they exist here."""
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return [root]
    for line in lines:
        _, controllers, place = line.split(":", 2)
        if controller in controllers.split(","):
            parts = [part for part in place.split("/") if part not in ("", "..")]
            return [root.joinpath(*parts[:n]) for n in range(len(parts), -1, -1)]
    return [root]


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []
