"""No core dumps of processes that hold credentials: they would lie on disk with them."""

from __future__ import annotations

import resource


def forbid_core_dumps() -> None:
    """Lower this process's limit to nothing, for good; its children inherit it."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
