"""What this process may use of a device. Imports nothing, so that a child can set it first.

The units are looked for elsewhere (`pipeline.nvdec`).
"""

from __future__ import annotations

_allowed = {"nvdec": True}
_batch = {"largest": 64}


def allow(*, nvdec: bool) -> None:
    """Allow or forbid the video decoder, `F2F_NVDEC`."""
    _allowed["nvdec"] = nvdec


def allowed(unit: str) -> bool:
    """Whether a unit may be used: `nvdec`."""
    return _allowed[unit]


def batch_up_to(largest: int) -> None:
    """Frames of the largest batch of a neural engine on a GPU, `F2F_GPU_BATCH`."""
    _batch["largest"] = largest


def largest_batch() -> int:
    """Frames of the largest batch of a neural engine on a GPU."""
    return _batch["largest"]
