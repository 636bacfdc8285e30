"""An invisible watermark with a digest of the job id, through the library invisible-watermark.

Every picture carries it, in its chroma, where encoders and eyes mind it least and where moving
content changes least. Each plane's blocks are averaged to two by two cells; the library's
DWT-DCT-SVD embedder moves the cells' largest singular value to one of two remainders of a step; the
difference, at most two levels, is added to the block in full. A block is embedded anew only when
its own content has moved it to where its bit would be in doubt, so that the mark stands as still as
the picture does, which is what survives an encoder (docs/labels.md has what was measured).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.errors import EngineUnavailable
from pipeline.mark.lattice import (
    ASIDE,
    STEP,
    Plane,
    Values,
    block_side,
    cell_means,
    colourless,
    places,
    singular_of_cells,
)
from pipeline.mark.payload import codeword, job_digest
from pipeline.types import Frame
from schemas.codes import Stage

_PAUSE = 5
"""Frames from one look at a part of the blocks to the next."""
_PARTS = 5
"""Parts: so each block is looked at every 25 frames, and never all in one picture."""
_DOUBT, _DOUBT_SMALL = 0.3, 0.2
"""Distance from a bit's own remainder, in steps of half, at which a block is embedded anew."""
_SHARE, _SHARE_SMALL = 0.8, 1.1
"""Of the way to that remainder; the rest would cost more than it gives, but in small pictures."""
_SHARE_COLOURLESS = 0.9
"""The same where the film has no colour: even blocks are what an encoder flattens first."""
_SMALL = 20
"""Chroma samples along a block, at most, in pictures (up to 640 pixels) whose marks an encoder
flattens when it gets them at half size: there a block is as small as what it works on."""


class Watermark:
    """Marks the pictures of one output, in their order.

    Raises:
        EngineUnavailable: the library is not installed.
    """

    def __init__(self, job_id: str, width: int, height: int) -> None:
        library = load_library()
        word = codeword(job_digest(job_id))
        side = block_side(width, height)
        shape = ((height + 1) // 2, (width + 1) // 2)
        self._planes = [_MarkedPlane(library, word, shape, side, plane) for plane in (0, 1)]
        self._count = 0

    def apply(self, frame: Frame) -> Frame:
        """The frame, marked; the input stays as it was, and so does luma."""
        if not self._count and all(colourless(plane.numpy()) for plane in (frame.u, frame.v)):
            for marked in self._planes:
                marked.be_colourless()
        if self._count % _PAUSE == 0:
            part = self._count // _PAUSE % _PARTS if self._count else None
            for plane, values in zip(self._planes, (frame.u, frame.v), strict=True):
                plane.look(values.numpy(), part)
        self._count += 1
        u, v = self._planes
        return Frame(frame.y, u.add_to(frame.u), v.add_to(frame.v), frame.index)


class _MarkedPlane:
    """The change of one chroma plane, held until its content asks for another."""

    def __init__(
        self, library: Any, word: NDArray[np.uint8], shape: tuple[int, int], side: int, plane: int
    ) -> None:
        self._library = library
        self._side = side
        self._doubt = _DOUBT_SMALL if side <= _SMALL else _DOUBT
        self._share = _SHARE_SMALL if side <= _SMALL else _SHARE
        self._aside = 0.0
        rows, columns = shape[0] // side, shape[1] // side
        self._bits = word[places(rows, columns, plane)]
        row, column = np.mgrid[0:rows, 0:columns]
        self._part = (row + 2 * column) % _PARTS
        self._change = np.zeros((2 * rows, 2 * columns))
        self._screen = _screen(side)
        self._more = np.zeros(shape, np.uint8)
        self._less = np.zeros(shape, np.uint8)

    def be_colourless(self) -> None:
        """Mark a film that begins without any colour, before its first picture."""
        self._share, self._aside = _SHARE_COLOURLESS, ASIDE

    def look(self, values: Plane, part: int | None) -> None:
        """Embed anew what is in doubt, of one part of the blocks, or of all."""
        if not self._bits.size:
            return
        cells = cell_means(values, self._side)
        own = singular_of_cells(cells)
        wanted = 0.25 + 0.5 * self._bits
        now = singular_of_cells(cells + self._change) - self._aside
        off = (now / STEP - wanted + 0.5) % 1 - 0.5
        doubtful = np.abs(off) > self._doubt / 2
        if part is not None:
            doubtful &= self._part == part
        for row, column in np.argwhere(doubtful).tolist():
            here = np.s_[2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            block = cells[here]
            bit = int(self._bits[row, column])
            marked = _embed(self._library, block, float(own[row, column]), bit, self._aside)
            self._change[here] = self._share * (marked - block)
            self._draw(row, column)

    def add_to(self, plane: Tensor) -> Tensor:
        """The (H, W) uint8 plane with the change, kept within 0 to 255."""
        import cv2

        made: Any = cv2.subtract(cv2.add(plane.numpy(), self._more), self._less)
        return torch.from_numpy(made)

    def _draw(self, row: int, column: int) -> None:
        """A change of 0.4 levels is one level on 0.4 of a cell's area, nearest to the middle."""
        side = self._side
        change = self._change[2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
        full = change.repeat(side // 2, axis=0).repeat(side // 2, axis=1)
        here = np.s_[row * side : (row + 1) * side, column * side : (column + 1) * side]
        self._more[here] = np.maximum(full + self._screen, 0)  # what is stored is rounded down
        self._less[here] = np.maximum(self._screen - full, 0)


def _embed(library: Any, block: Values, value: float, bit: int, aside: float) -> Values:
    """The block, whose largest singular value is given, with its bit in the nearest of places.

    The library takes the place within the step that the block is in; a block that is nearer to the
    same place in the next step is handed over half a step brighter or darker. What lies aside of
    the steps is taken off before, and put back.
    """
    if not value:
        block, value = block + 0.5, 1.0
    within = value - aside
    off = within / STEP % 1 - (0.25 + 0.5 * bit)
    moved = within + (STEP / 2 if off > 0.5 else -STEP / 2 if off < -0.5 and within > STEP else 0)
    marked: Values = library.diffuse_dct_svd(block * (moved / value), bit, STEP)
    largest = float(singular_of_cells(marked)[0, 0])
    return marked * ((largest + aside) / largest)


def _screen(side: int) -> Values:
    """(side, side) thresholds of a clustered halftone: 0 to 1, largest in the middle.

    One soft patch per block costs an encoder less than scattered dots, and is seen less.
    """
    row, column = np.abs(np.mgrid[0:side, 0:side] - (side - 1) / 2)
    order = np.argsort(-(row**3 + column**3), axis=None, kind="stable")
    thresholds = np.empty(side * side)
    thresholds[order] = (np.arange(side * side) + 0.5) / side**2
    screen: Values = thresholds.reshape(side, side)
    return screen


def load_library() -> Any:
    """The library's embedder, and OpenCV, on which it stands: a tenth of a second, once a process.

    Raises:
        EngineUnavailable: the library is not installed.
    """
    try:
        from imwatermark.dwtDctSvd import EmbedDwtDctSvd
    except ImportError as error:
        raise EngineUnavailable(
            f"the invisible watermark needs the package invisible-watermark: {error}."
            " Install it, or switch the watermark off by F2F_LABEL_WATERMARK=0",
            stage=Stage.MARK,
        ) from error
    return EmbedDwtDctSvd([0], 1, [0], 2)
