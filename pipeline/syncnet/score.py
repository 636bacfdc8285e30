"""LSE-C and LSE-D: how sure SyncNet is of its best offset, and how far apart the two are there.

The quirks of the published recipe stay, for comparable figures: the last valid window is dropped,
shifts beyond the ends compare with zero vectors, and every difference carries 1e-6.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own abbreviation
from torch import Tensor

from pipeline.syncnet.mfcc import mfcc
from pipeline.syncnet.network import SyncNet, as_lips

SHIFT = 15
"""Video frames by which the sound is moved each way."""
FPS = 25
WINDOW = 5
"""Frames of one comparison."""
BATCH = 20
_COLUMNS_PER_FRAME = 4
_SAMPLES_PER_FRAME = 640
_MEDIAN = 9


@dataclass(frozen=True, slots=True)
class SyncScore:
    """What SyncNet says about one clip."""

    offset: int
    """Frames at 25 a second; positive when the sound is late."""
    lse_c: float
    """Confidence: the median over shifts minus the least mean distance. Higher is better."""
    lse_d: float
    """The least mean distance. Lower is better."""
    mean_distance: Tensor
    """(31,) mean distance at each shift."""
    frame_confidence: Tensor
    """(N,) confidence of each window at the best shift, median-filtered over 9."""


def score(lips: Tensor, sounds: Tensor, shift: int = SHIFT) -> SyncScore:
    """Compare two sequences of embeddings.

    Args:
        lips: (N, D) embeddings of the mouth.
        sounds: (N, D) embeddings of the sound.
        shift: largest shift, frames.
    """
    shifted = F.pad(sounds, (0, 0, shift, shift)).unfold(0, 2 * shift + 1, 1)  # (N, D, S)
    distance = torch.stack(
        [F.pairwise_distance(lips, shifted[..., s]) for s in range(2 * shift + 1)], dim=1
    )
    mean = distance.mean(dim=0)
    least, best = mean.min(dim=0)
    middle = mean.median()
    return SyncScore(
        offset=shift - int(best),
        lse_c=float(middle - least),
        lse_d=float(least),
        mean_distance=mean,
        frame_confidence=_median_filter(middle - distance[:, best]),
    )


@torch.inference_mode()
def embed(network: SyncNet, pictures: Tensor, samples: Tensor) -> tuple[Tensor, Tensor]:
    """Embeddings of a clip at 25 frames a second.

    Args:
        pictures: (N, 3, 224, 224) uint8 BGR crops of the face.
        samples: (n,) 16 kHz, values of 16-bit samples.

    Returns:
        Lips and sounds, (M, 1024) each; M = min(N, n // 640) - 5.

    Raises:
        ValueError: the clip is shorter than six frames.
    """
    count = min(len(pictures), samples.numel() // _SAMPLES_PER_FRAME) - WINDOW
    if count < 1:
        raise ValueError(
            f"{len(pictures)} frames and {samples.numel()} samples: SyncNet needs at least 6 frames"
            " at 25 a second and as much sound"
        )
    device = next(network.parameters()).device
    cepstra = mfcc(samples)
    columns = WINDOW * _COLUMNS_PER_FRAME
    lips, sounds = [], []
    for start in range(0, count, BATCH):
        these = range(start, min(start + BATCH, count))
        stack = as_lips(pictures[these.start : these.stop + WINDOW - 1])
        lips.append(network.lip(stack.to(device).float()).cpu())
        heard = torch.stack(
            [cepstra[None, :, n * _COLUMNS_PER_FRAME :][..., :columns] for n in these]
        )
        sounds.append(network.audio(heard.to(device)).cpu())
    return torch.cat(lips), torch.cat(sounds)


def _median_filter(x: Tensor) -> Tensor:
    """Running median over 9 with zeros beyond the ends."""
    edge = _MEDIAN // 2
    return F.pad(x, (edge, edge)).unfold(0, _MEDIAN, 1).median(dim=1).values
