"""LSE-C and LSE-D of a file, by a SyncNet that the user brings.

Faces are cut out as the published evaluation does it (syncnet_python's `run_pipeline.py`): the
face's box, its sides smoothed by a running median over 13 frames, 1.4 times the half side to each
side and below 1.8 times, 224 x 224 pixels, BGR, 25 frames a second. Where it takes S3FD's box, this
takes the box around the mesh, so a figure may differ a little from a published one.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own abbreviation
from torch import Tensor

from pipeline.checkpoint import check_names, read_checkpoint
from pipeline.errors import InputUnreadable, WeightsMissing
from pipeline.evaluate.evidence import Evidence
from pipeline.evaluate.ledger import Figures
from pipeline.planes import Window, read_rgb
from pipeline.quality.mouths import Mouths
from pipeline.quality.watch import Watched, listen_to, listen_under
from pipeline.reading.audio import Speech
from pipeline.syncnet.network import SyncNet, load_syncnet
from pipeline.syncnet.score import FPS, SyncScore, embed, score
from pipeline.types import Frame
from schemas.codes import Stage

LONGEST_S = 60
"""Seconds from the start that are scored: crops of a minute take 220 MB."""
SIDE = 224
_SCALE = 0.40
_MEDIAN = 13
_GREY = 110
"""Beyond the picture's edges, as there."""
_LEAST = 6
_OURS = ("lse_c", "lse_d", "lse_offset_frames")
_THEIRS = ("lse_c_reference", "lse_d_reference")


def measure_lse(evidence: Evidence, checkpoint: Path | None, device: str, figures: Figures) -> None:
    """Write down the scores of the output and of the reference.

    Raises:
        InputUnreadable: the checkpoint is none of SyncNet v2.
    """
    if checkpoint is None:
        figures.leave_out("needs --syncnet", *_OURS, *_THEIRS)
        return
    network = load_network(checkpoint, device)
    heard = listen_to(evidence.sources.output, None) or evidence.speech
    found = score_of(network, evidence.output, heard)
    if isinstance(found, str):
        figures.leave_out(found, *_OURS)
    else:
        figures.put("lse_c", found.lse_c)
        figures.put("lse_d", found.lse_d)
        figures.put("lse_offset_frames", found.offset)
    reference = evidence.reference
    if reference is None or reference.video.still or not reference.video.has_audio:
        figures.leave_out("needs a reference with sound", *_THEIRS)
        return
    theirs = score_of(network, reference, listen_under(reference.video.path))
    if isinstance(theirs, str):
        figures.leave_out(theirs, *_THEIRS)
    else:
        figures.put("lse_c_reference", theirs.lse_c)
        figures.put("lse_d_reference", theirs.lse_d)


def load_network(checkpoint: Path, device: str) -> SyncNet:
    """SyncNet v2 from a user's file, nothing of which is executed.

    Raises:
        InputUnreadable: it is none.
    """
    try:
        tensors = read_checkpoint(checkpoint)
        with torch.device("meta"):
            check_names("SyncNet v2", tensors, SyncNet())
    except WeightsMissing as error:
        raise InputUnreadable(f"--syncnet: {error.message}", stage=Stage.PROBE) from error
    return load_syncnet(tensors, device)


def score_of(network: SyncNet, watched: Watched, heard: Speech | None) -> SyncScore | str:
    """The score of one file, or why it has none."""
    if heard is None:
        return "it has no sound"
    mouths = watched.mouths
    if 2 * int(mouths.usable.sum()) < len(mouths.usable):
        return "the face is not seen in most of the frames"
    pictures = faces(watched)
    samples = (heard.samples * 32768).round().clamp(-32768, 32767).to(torch.int16)
    if min(len(pictures), samples.numel() // 640) < _LEAST:
        return "it is shorter than six frames of 25 a second"
    return score(*embed(network, pictures, samples))


def faces(watched: Watched) -> Tensor:
    """(N, 3, 224, 224) uint8 BGR faces, 25 a second, of at most a minute."""
    fps, looked = float(watched.video.fps), len(watched.mouths.usable)
    count = min(int(looked / fps * FPS), LONGEST_S * FPS)
    places = [min(int(n * fps / FPS), looked - 1) for n in range(count)]
    squares = _squares(watched.mouths)
    out = torch.empty(len(places), 3, SIDE, SIDE, dtype=torch.uint8)
    for n, frame in enumerate(watched.reader.read(places)):
        out[n] = _cut(frame, watched, squares[frame.index])
    return out


def _squares(mouths: Mouths) -> Tensor:
    """(N, 3) middle x, middle y and half side of the face's box, smoothed over time."""
    known = mouths.usable.nonzero().flatten()
    at = torch.arange(len(mouths.usable))
    near = known[torch.searchsorted(known, at).clamp(max=len(known) - 1)]
    x0, y0, x1, y1 = mouths.face[near].unbind(1)
    rows = torch.stack([(x0 + x1) / 2, (y0 + y1) / 2, torch.maximum(x1 - x0, y1 - y0) / 2])
    reach = _MEDIAN // 2
    padded = F.pad(rows[None], (reach, reach), mode="replicate")[0]
    return padded.unfold(1, _MEDIAN, 1).median(2).values.T


def _cut(frame: Frame, watched: Watched, square: Tensor) -> Tensor:
    x, y, half = square.tolist()
    wide = half * (1 + _SCALE)
    left, top, side = round(x - wide), round(y - half), max(2, round(2 * wide))
    inside = Window(
        max(0, left),
        max(0, top),
        min(frame.width, left + side),
        min(frame.height, top + side),
    )
    picture = torch.full((3, side, side), float(_GREY))
    if inside.x1 > inside.x0 and inside.y1 > inside.y0:
        rgb = read_rgb(frame, inside, watched.video.color).float()
        rows, columns = inside.y0 - top, inside.x0 - left
        picture[:, rows : rows + rgb.shape[1], columns : columns + rgb.shape[2]] = rgb.flip(0)
    small = F.interpolate(picture[None], (SIDE, SIDE), mode="bilinear", align_corners=False)[0]
    return small.round().clamp(0, 255).to(torch.uint8)
