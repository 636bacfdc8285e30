"""An invisible watermark with a digest of the job id, through the library invisible-watermark.

One picture in fifty carries it: its luma is averaged to a grid, the library's DWT-DCT-SVD embedder
moves the grid's blocks to one of two residues of a step, and the difference is added to the full
picture. 64 bits of SHA-256 of the job id and 32 check bits repeat over the blocks. It survives
x264 at crf 28 and half the size where keyframes fall on marked pictures; it does not survive
cropping (docs/labels.md has what was measured), which is why it is off by default.

The library is an extra: `pip install 'face2face[watermark]'`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.errors import EngineUnavailable
from pipeline.types import Frame
from schemas.codes import Stage

EVERY = 50
"""Frames from one marked picture to the next."""
_LONG_SIDE = 20
"""Blocks along the longer side."""
_BLOCK = 4
"""Grid cells of a block's side: the library's own."""
_STEP = 24.0
"""Quantisation step of a block's largest singular value: 45.8 to 47.3 dB on a marked picture."""
_JOB, _CHECK = 8, 4
"""Bytes of digest and of check."""
_BITS = 8 * (_JOB + _CHECK)
_SCAN = 5 * EVERY
"""Pictures that are looked at: five marked ones, wherever a trimmed file begins."""

Luma = NDArray[np.uint8]


def job_digest(job_id: str) -> str:
    """What the watermark holds of a job id: 16 hex digits."""
    return hashlib.sha256(job_id.encode()).digest()[:_JOB].hex()


class Watermark:
    """Marks the pictures of one output, in their order.

    Raises:
        EngineUnavailable: the library is not installed.
    """

    def __init__(self, job_id: str) -> None:
        self._bits = _payload(bytes.fromhex(job_digest(job_id)))
        self._count = 0
        _library()

    def apply(self, frame: Frame) -> Frame:
        """The frame, marked when its turn has come; the input stays as it was."""
        turn = self._count % EVERY == 0
        self._count += 1
        if not turn:
            return frame
        luma = torch.from_numpy(self._mark(frame.y.numpy()))
        return Frame(luma, frame.u, frame.v, frame.index)

    def _mark(self, luma: Luma) -> Luma:
        import cv2

        low = _grid(luma)
        wanted = np.resize(self._bits, _blocks(low)).tolist()
        marked = low.copy()
        embedder = _library()(wanted, len(wanted), [_STEP], _BLOCK)
        embedder.encode_frame(marked, _STEP)
        size = (luma.shape[1], luma.shape[0])
        change = cv2.resize((marked - low) / 2, size, interpolation=cv2.INTER_LINEAR)
        made: Luma = np.clip(np.rint(luma + change), 0, 255).astype(np.uint8)
        return made


def available() -> bool:
    """True when the library is installed."""
    return find_spec("imwatermark") is not None


def read_watermark(pictures: Iterable[Luma]) -> str | None:
    """The job's digest (16 hex digits) in a file's pictures, None when none passes its check.

    Args:
        pictures: luma planes in display order from any place of the output; the first 250 count.

    Raises:
        EngineUnavailable: the library is not installed.
    """
    votes: dict[int, NDArray[np.float64]] = {}
    for number, luma in enumerate(pictures):
        if number >= _SCAN:
            break
        if min(luma.shape) < _LONG_SIDE:
            return None
        phase = number % EVERY
        votes[phase] = votes.get(phase, np.zeros(_BITS)) + _vote(luma)
    for vote in votes.values():
        raw = np.packbits(vote > 0).tobytes()
        if np.array_equal(_payload(raw[:_JOB]), (vote > 0).astype(np.uint8)):
            return raw[:_JOB].hex()
    return None


def _vote(luma: Luma) -> NDArray[np.float64]:
    """(96,): for each bit, blocks that say 1 less blocks that say 0."""
    low = _grid(luma)
    count = _blocks(low)
    scores: list[list[int]] = [[] for _ in range(count)]
    _library()([], count, [_STEP], _BLOCK).decode_frame(low, _STEP, scores)
    said = np.array([each[0] for each in scores], dtype=np.float64) * 2 - 1
    summed: NDArray[np.float64] = np.bincount(np.arange(count) % _BITS, said, _BITS).astype(
        np.float64
    )
    return summed


def _grid(luma: Luma) -> NDArray[np.float32]:
    """The luma averaged to whole blocks, doubled as the library's wavelet does."""
    import cv2

    height, width = luma.shape
    scale = _LONG_SIDE / max(width, height)
    columns, rows = (max(1, round(side * scale)) * _BLOCK for side in (width, height))
    low: Any = cv2.resize(luma, (columns, rows), interpolation=cv2.INTER_AREA)
    doubled: NDArray[np.float32] = low.astype(np.float32) * 2
    return doubled


def _blocks(low: NDArray[np.float32]) -> int:
    return int(low.shape[0] // _BLOCK) * int(low.shape[1] // _BLOCK)


def _payload(digest: bytes) -> NDArray[np.uint8]:
    check = hashlib.sha256(b"face2face watermark" + digest).digest()[:_CHECK]
    return np.unpackbits(np.frombuffer(digest + check, np.uint8))


def _library() -> Any:
    try:
        from imwatermark.dwtDctSvd import EmbedDwtDctSvd
    except ImportError as error:
        raise EngineUnavailable(
            "the invisible watermark needs the package invisible-watermark:"
            " pip install 'face2face[watermark]'",
            stage=Stage.MARK,
        ) from error
    return EmbedDwtDctSvd
