"""Reading the watermark: where its blocks lie now, and which digest they say.

Nothing tells the size that the picture had, or what was cut off. So blocks are looked for where
they were put, then at every scale of the whole picture, then at every offset of a cropped one (as
it was, or halved). At each likely place the code is asked, and each known job is compared.

Chances of naming a job for somebody else's file: at most 1553 places are asked; the check bits pass
one in 2^35, and known jobs are held to a likeness that chance reaches in 1 of 10^7 files. A third
of that chance belongs to each kind of place, so that the few likely ones need not be as sure as
the hundreds that a crop may have led to. A film with a picture that has no colour is read in two
ways, so there the chance is twice that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from pipeline.mark.lattice import Plane, block_side, shifted, sides_before_a_crop
from pipeline.mark.payload import (
    BITS,
    Soft,
    codeword,
    decode,
    job_digest,
    least_likeness,
    likeness,
)
from pipeline.mark.samples import Grid, Samples, sample, soft_bits, sureness

_BLOCKS_ALONG = np.arange(12.8, 20.2, 0.04)
"""Blocks along the longer side of a picture, whatever its size was."""
_USUAL = (15.0, 16.0, 16.875, 17.79)
"""The same for 1920 or 960, 1280 or 640, 1080 and 854 pixels: always asked."""
_SCALES = 12
"""Scales of the whole picture that are asked, the likeliest that are not neighbours."""
_APART = 3
"""Steps of `_BLOCKS_ALONG` within which a scale is a neighbour."""
_OFFSETS = 12
"""Offsets that are asked, for each side of a block."""
_CUT = 0.2
"""Share of a side that a crop may take, at most."""
_GONE = 4
"""Whole rows and columns of blocks that a crop may take, less one."""
_TRIES = {"usual": 1 + len(_USUAL), "scaled": _SCALES, "cropped": 8 * _OFFSETS * _GONE**2}
"""Places of each kind that are asked, at most."""
_CHANCE = 1e-7 / len(_TRIES)


@dataclass(frozen=True)
class Reading:
    """A watermark that was found."""

    digest: str
    job_id: str | None


class KnownJobs:
    """Jobs that may have made a file, by digest and by code word."""

    def __init__(self, jobs: Sequence[str]) -> None:
        self._names = {job_digest(job): job for job in jobs}
        self._digests = list(self._names)
        words = [codeword(digest) for digest in self._digests]
        self._words: NDArray[np.int8] = np.array(words, np.int8).reshape(-1, BITS) * 2 - 1
        self._least = {
            kind: least_likeness(tries * len(words), _CHANCE) for kind, tries in _TRIES.items()
        }

    def name(self, digest: str) -> str | None:
        """The job of a digest, when it is known."""
        return self._names.get(digest)

    def likeliest(self, soft: Soft, kind: str) -> str | None:
        """The digest of the job whose word the bits are like beyond chance; the code may fail.

        Args:
            kind: of the place that it was read at, of `_TRIES`.
        """
        if not self._digests:
            return None
        scores = likeness(soft, self._words)
        best = int(scores.argmax())
        return self._digests[best] if scores[best] >= self._least[kind] else None


def read_watermark(
    pictures: Iterable[tuple[Plane, Plane]], jobs: Sequence[str] = ()
) -> Reading | None:
    """The watermark of a file's pictures, None when there is none that passes.

    Args:
        pictures: U and V of each picture, 8 bits, half as wide and high as luma, in display order,
            all of one size.
        jobs: ids of jobs that may have made it. With them a mark is also found where too many of
            its bits are wrong for the code to mend.
    """
    known = KnownJobs(jobs)
    likely = chain.from_iterable(map(_likely_bits, sample(pictures)))
    for kind, soft in likely:
        digest = decode(soft) or known.likeliest(soft, kind)
        if digest is not None:
            return Reading(digest, known.name(digest))
    return None


def _likely_bits(samples: Samples) -> Iterator[tuple[str, Soft]]:
    """Kind and soft bits of each place that is worth asking, likeliest kinds first."""
    width, height = 2 * samples.width, 2 * samples.height
    longer = max(samples.width, samples.height)
    for side in (block_side(width, height), *(longer / along for along in _USUAL)):
        yield "usual", soft_bits(samples.evidence(Grid(0, 0, side)))
    few = samples.few()
    for grid in _scaled(few):
        yield "scaled", soft_bits(samples.evidence(grid))
    for half in (1, 2):
        for side in sides_before_a_crop(width * half, height * half, _CUT)[:4]:
            if 4 <= side // half <= min(samples.width, samples.height) // 2:
                grids = few.places_by_likelihood(side // half, _OFFSETS)
                for soft in _cropped(samples, grids if half == 1 else _finer(few, grids)):
                    yield "cropped", soft


def _scaled(few: Samples) -> list[Grid]:
    """Grids that begin at the picture's corner, those first whose blocks look marked."""
    longer = max(few.width, few.height)
    grids = [Grid(0, 0, longer / along) for along in _BLOCKS_ALONG]
    sure = np.array([_mean_sureness(few, grid) for grid in grids])
    found = []
    for _ in range(_SCALES):
        best = int(sure.argmax())
        found.append(grids[best])
        sure[max(0, best - _APART + 1) : best + _APART] = -np.inf
    return found


def _mean_sureness(samples: Samples, grid: Grid) -> float:
    sure = sureness(samples.evidence(grid))
    return float(sure.sum() / max(1, sure.size) ** 0.5)


def _finer(few: Samples, grids: list[Grid]) -> list[Grid]:
    """The same offsets to half a sample: a crop by an odd number was halved, too."""
    steps = (-0.5, 0.0, 0.5)
    near = (
        [Grid(max(0.0, g.y + y), max(0.0, g.x + x), g.side) for y in steps for x in steps]
        for g in grids
    )
    return [max(each, key=lambda grid: _mean_sureness(few, grid)) for each in near]


def _cropped(samples: Samples, grids: list[Grid]) -> Iterator[Soft]:
    for grid in grids:
        soft = soft_bits(samples.evidence(grid))
        for row in range(_GONE):
            for column in range(_GONE):
                yield np.roll(soft, shifted(row, column))
