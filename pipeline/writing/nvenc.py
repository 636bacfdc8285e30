"""The GPU's own video encoder, where it is allowed and really encodes.

Off by default: what it makes differs from x264 and between GPUs, so that a job that is repeated on
another machine would not give the same bytes. Leases and adoption still see to one outcome. Data
centre GPUs such as A100, H100 and H200 have none.

Whether there is one is tried once per process and device, by encoding some pictures and decoding
them again: they must come back, all of them, and look as they did. That says nothing of a later
film: it may find no session free, or lose the encoder midway (`pipeline.writing.losses`). What the
encoder was sent by then is gone, and all pictures of a film share one set of parameters (ISO/IEC
14496-15, `avc1`), so that nobody else can go on with it:
`output.falling_back_to_x264` makes it anew.
"""

from __future__ import annotations

import logging
from functools import cache

from av import FFmpegError

from pipeline import hardware
from pipeline.batching.cuda import is_cuda
from pipeline.errors import EngineUnavailable
from pipeline.reading.trial_film import coded, decoded, stripes
from pipeline.writing import losses
from schemas.codes import Stage

CODEC = "h264_nvenc"
_APART = 3.0
"""Mean levels by which what comes back may differ."""

_log = logging.getLogger(__name__)


def options(crf: int) -> dict[str, str]:
    """Constant quality on the scale of x264's rate factor."""
    return {"preset": "p4", "tune": "hq", "rc": "vbr", "cq": str(crf), "b": "0", "bf": "2"}


def chosen(device: str) -> bool:
    """Whether a job on a device is to be encoded by its video unit, `F2F_ENCODER`.

    Not where it has lost too many films by now, even if it is demanded: no job is lost by it.

    Raises:
        EngineUnavailable: it is demanded, and the device has none that encodes.
    """
    wanted = hardware.use().encoder
    if wanted == "x264" or (wanted == "auto" and not is_cuda(device)):
        return False
    trouble = _trouble(device)
    if trouble is None:
        return losses.steady(device)
    if wanted == "auto":
        return False
    raise EngineUnavailable(
        f"F2F_ENCODER=nvenc, but {device} does not encode ({trouble}): set x264 or auto",
        stage=Stage.ENCODE,
        device=device,
    )


@cache
def _trouble(device: str) -> str | None:
    """Why the device does not encode; None where it does. Said in the log, once."""
    trouble = _tried(CODEC, options(18)) if is_cuda(device) else "it is no GPU"
    if trouble is None:
        _log.info("videos are encoded on %s", device)
    else:
        _log.info("videos are encoded on the processors: %s does not (%s)", device, trouble)
    return trouble


def _tried(codec: str, settings: dict[str, str]) -> str | None:
    """What is wrong with an encoder; None when its pictures come back as they were."""
    want = stripes()
    try:
        found = decoded(coded(codec, settings, want))
    except (FFmpegError, OSError, ValueError) as error:
        return str(error) or type(error).__name__
    if len(found) != len(want):
        return f"{len(found)} of {len(want)} pictures came back"
    apart = max(
        float((a.float() - b.float()).abs().mean()) for a, b in zip(found, want, strict=True)
    )
    return None if apart <= _APART else f"its pictures are {apart:.1f} levels apart"
