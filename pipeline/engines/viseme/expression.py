"""What a mouth does slowly: the smile of the frame under the output stays, less in closures.

The mouth of a frame is split in time. What changes slower than syllables (a smile, a pout, where
the corners lie) belongs to the face above it, and no speech can tell it; what changes faster is
speech. Output mouths take the slow part from the frame that they are painted on, and the fast part
from their lender and from what the speech asks for.
"""

from __future__ import annotations

from fractions import Fraction

import torch
from torch import Tensor

from pipeline.engines.viseme.features import measure
from pipeline.engines.viseme.shape import CHIN_PER_APERTURE, edit, smile
from pipeline.speech.grid import STEP_RATE, gaussian
from pipeline.speech.mouth_range import MouthPath, MouthRange

SLOW_S = 0.4
"""Standard deviation of the smoothing: a syllable of a fifth of a second leaves nothing in it."""
LEVEL = 0.06
"""Aperture to which mouths are brought before they are compared, io: an expression has none."""
GAPING = 0.25
"""Aperture from which a mouth shouts or yawns, io. Brought to another opening its lips are torn, as
its shape is no expression: that of the frames around stands in."""
LITTLE = 1e-3
"""Weight of such mouths, for where there are no others."""
FAST_SIGMA = 2.0
"""Of the smoothing of lent shapes over time, output frames."""
SHUT_S = 0.025
"""Standard deviation of the way into a closure and out of it, short: smiles that are half shut and
half drawn together are read as wider open than they are (r .947 instead of .954 at 40 ms)."""
SHUT_SMILE, SHUT_MOST = 1.5, 0.08
"""Width that a mouth loses in a closure for each io by which its corners lie above the middle of
its upper lip, and at most, io. So a smile that never ends is at .93 of its median width there; four
people who speak are at .90 to .98."""
_REACH = 3.0


def level(shape: Tensor) -> Tensor:
    """Shapes (B, K, 3) as if their mouths were open by `LEVEL`, io."""
    now = measure(shape)
    aperture = torch.full_like(now.aperture, LEVEL)
    return edit(shape, aperture, now.width, CHIN_PER_APERTURE * (aperture - now.aperture))


def slow(shape: Tensor, frames: Tensor, run: Tensor, fps: Fraction) -> Tensor:
    """The slow part of every frame's mouth, opened by `LEVEL`.

    Args:
        shape: (M, K, 3) of the usable frames, io.
        frames: (M,) their indices, ascending.
        run: (N,) number of the unbroken run of each frame.

    Returns:
        (N, K, 3) float16 io; 0 in frames that are not usable.
    """
    out = torch.zeros(len(run), *shape.shape[1:], dtype=torch.float16)
    for number in sorted(set(run[frames].tolist())):
        rows = torch.nonzero(run[frames] == number).flatten()
        flat = level(shape[rows]).flatten(1).T.contiguous()
        weight = (measure(shape[rows]).aperture < GAPING).to(flat.dtype).clamp_min(LITTLE)
        sigma = SLOW_S * float(fps) / STEP_RATE
        smooth = (gaussian(flat * weight, sigma) / gaussian(weight[None], sigma)).T
        out[frames[rows]] = smooth.reshape(len(rows), *shape.shape[1:]).half()
    return out


def keep_width(path: MouthPath, expression: Tensor, mouth: MouthRange, fps: Fraction) -> MouthPath:
    """A path whose slow width is that of the frames under the output.

    Args:
        expression: (F, K, 3) of those frames, from `slow`.
    """
    own = measure(expression.float()).width.to(path.width.dtype)
    width = own + path.width - gaussian(path.width, SLOW_S * float(fps) / STEP_RATE)
    narrow, wide = own.clamp(max=mouth.narrow), own.clamp(min=mouth.wide)
    return MouthPath(path.aperture, width.maximum(narrow).minimum(wide), path.jaw)


def nearness(closed: Tensor, fps: Fraction) -> Tensor:
    """How near each output frame is to a closure, (F,) 0 to 1, of (F,) bool."""
    return gaussian(closed[None].float(), SHUT_S * float(fps) / STEP_RATE)[0]


def less_smile(width: Tensor, shape: Tensor, near: Tensor) -> Tensor:
    """Widths of which closures take a part, as far as the mouth smiles.

    Args:
        width: (B,) io.
        shape: (B, K, 3) of the frames' own mouths, io.
        near: (B,) from `nearness`.
    """
    return width - near * (SHUT_SMILE * smile(shape)).clamp(max=SHUT_MOST)


def lent(levelled: Tensor, first: Tensor, at: Tensor, fps: Fraction) -> Tensor:
    """The fast part of the lenders' mouths, (B, K, 3) io.

    Args:
        levelled: (C, K, 3) shapes of the bank, each by `level`.
        first: (F,) rows of the bank that lend to each output frame.
        at: (B,) output frames.
    """
    sigma = SLOW_S * float(fps)
    reach = int(_REACH * sigma)
    steps = torch.arange(-reach, reach + 1)
    weight = _bell(steps, FAST_SIGMA) - _bell(steps, sigma)
    near = (at.unsqueeze(1) + steps).clamp(0, len(first) - 1)
    return torch.einsum("k,bkpc->bpc", weight, levelled[first[near]])


def _bell(steps: Tensor, sigma: float) -> Tensor:
    weight = torch.exp(-0.5 * (steps / sigma) ** 2)
    return weight / weight.sum()
