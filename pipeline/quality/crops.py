"""Pictures of the mouth at chosen frames."""

from __future__ import annotations

from PIL import Image

from pipeline.planes import Window, read_rgb
from pipeline.quality.sheet import SIDE
from pipeline.quality.watch import Watched

_IO_ACROSS = 1.0
"""Width and height of a crop in io: mouth and chin."""


def crops(watched: Watched, frames: list[int]) -> dict[int, Image.Image]:
    """Square pictures around the mouth, as a sheet shows them.

    Args:
        watched: the file.
        frames: which frames; those without a usable face show the middle of the last known box.

    Returns:
        By frame.
    """
    out: dict[int, Image.Image] = {}
    for frame in watched.reader.read(sorted(set(frames))):
        window = _window(watched, frame.index)
        rgb = read_rgb(frame, window, watched.video.color)
        image = Image.fromarray(rgb.permute(1, 2, 0).contiguous().numpy())
        out[frame.index] = image.resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    return out


def _window(watched: Watched, index: int) -> Window:
    mouths, video = watched.mouths, watched.video
    known = mouths.usable.nonzero().flatten()
    near = int(known[(known - index).abs().argmin()])
    x0, y0, x1, y1 = mouths.box[near].tolist()
    half = max(8.0, _IO_ACROSS * float(mouths.io[near]) / 2)
    half = min(half, (video.width - 2) / 2, (video.height - 2) / 2)
    x = min(max((x0 + x1) / 2, half), video.width - half)
    y = min(max((y0 + y1) / 2, half), video.height - half)
    side = int(2 * half)
    left, top = int(x - half), int(y - half)
    return Window(left, top, left + side, top + side)
