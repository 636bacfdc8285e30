"""Which units of a device this process may use. Imports nothing, so that a child can set it first.

The units are looked for elsewhere (`pipeline.nvdec`).
"""

from __future__ import annotations

_allowed = {"nvdec": True}


def allow(*, nvdec: bool) -> None:
    """Allow or forbid the video decoder, `F2F_NVDEC`."""
    _allowed["nvdec"] = nvdec


def allowed(unit: str) -> bool:
    """Whether a unit may be used: `nvdec`."""
    return _allowed[unit]
