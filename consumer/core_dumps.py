"""No core dumps of processes that hold credentials: they would lie on disk with them."""

from __future__ import annotations

import resource


def forbid_core_dumps() -> None:
    """Lower this process's limit to nothing, for good; its children inherit it.

    Linux asks no limit where a program takes the dumps (core(5)), but for one byte, by which it
    knows a handler that crashed itself. A file of one byte is none, either.
    """
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    limit = min(1, most) if most != resource.RLIM_INFINITY else 1
    resource.setrlimit(resource.RLIMIT_CORE, (limit, limit))
