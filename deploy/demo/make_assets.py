"""Makes the demo's reference clip and speech anew. Provenance: `consumer/demo_assets/README.md`.

    python deploy/demo/make_assets.py portrait path/to/astronaut.png
    python deploy/demo/make_assets.py speech            # needs `flite` with its voice slt

The portrait becomes four seconds of video: the head sways and nods a little about the collar, the
camera breathes. Nothing is drawn: every pixel is resampled from the photograph.
"""

from __future__ import annotations

import math
import subprocess
import sys
import tempfile
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

ASSETS = Path(__file__).parents[2] / "consumer" / "demo_assets"
CROP = (34, 0, 418, 384)
"""Head and shoulders in the 512 px photograph: x0, y0, x1, y1."""
SIDE = 512
FPS = 25
SECONDS = 4
PIVOT = (252.0, 268.0)
"""The collar in the output's pixels: the head turns about it."""
HEAD = (252.0, 140.0, 130.0, 150.0)
"""Centre and reach of what moves fully."""
TEXT = (
    "Hello! This is Face to Face. "
    "My lips move with these words, and close for people, maps, and movies."
)

Plane = NDArray[np.float32]


def _head_weight(x: Plane, y: Plane) -> Plane:
    """1 on the head, falling smoothly to 0 over the background and the shoulders."""
    cx, cy, rx, ry = HEAD
    far = np.hypot((x - cx) / rx, (y - cy) / ry)
    t = np.clip((far - 0.75) / 0.9, 0, 1)
    return (1 - t * t * (3 - 2 * t)).astype(np.float32)


def _source_points(second: float, x: Plane, y: Plane) -> tuple[Plane, Plane]:
    """Where in the still each pixel of the frame at this time comes from."""
    phase = 2 * math.pi * second / SECONDS
    angle = math.radians(1.6) * math.sin(phase)
    lift = 2.2 * math.sin(2 * phase + 0.6)
    weight = _head_weight(x, y)
    px, py = PIVOT
    cos, sin = math.cos(angle), math.sin(angle)
    turned_x = px + cos * (x - px) + sin * (y - py)
    turned_y = py - sin * (x - px) + cos * (y - py) + lift
    zoom = 1 - 0.006 * (1 - math.cos(phase))
    moved_x = x + weight * (turned_x - x)
    moved_y = y + weight * (turned_y - y)
    middle = SIDE / 2
    return middle + (moved_x - middle) * zoom, middle + (moved_y - middle) * zoom


def _sample(picture: NDArray[np.float32], x: Plane, y: Plane) -> NDArray[np.uint8]:
    """Bilinear, clamped at the border."""
    x = np.clip(x, 0, picture.shape[1] - 1.001)
    y = np.clip(y, 0, picture.shape[0] - 1.001)
    left, top = x.astype(np.intp), y.astype(np.intp)
    fx, fy = (x - left)[..., None], (y - top)[..., None]
    upper = picture[top, left] * (1 - fx) + picture[top, left + 1] * fx
    lower = picture[top + 1, left] * (1 - fx) + picture[top + 1, left + 1] * fx
    mixed: NDArray[np.uint8] = np.rint(upper * (1 - fy) + lower * fy).astype(np.uint8)
    return mixed


def make_portrait(photo: Path) -> Path:
    """Write `reference.mp4` from the photograph."""
    # Resampled once at twice the size, so that the moving frames stay sharp.
    double = 2 * SIDE
    still = Image.open(photo).convert("RGB").crop(CROP)
    picture = np.asarray(still.resize((double, double), Image.Resampling.LANCZOS), np.float32)
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
    target = ASSETS / "reference.mp4"
    with av.open(str(target), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=FPS)
        stream.width = stream.height = SIDE
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": "21", "preset": "veryslow", "x264-params": "colormatrix=bt709"}
        stream.codec_context.colorspace = 1
        stream.codec_context.color_range = 1
        for n in range(FPS * SECONDS):
            sx, sy = _source_points(n / FPS, x, y)
            frame = av.VideoFrame.from_ndarray(_sample(picture, 2 * sx + 0.5, 2 * sy + 0.5))
            frame = frame.reformat(format="yuv420p", dst_colorspace=1)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return target


def make_speech() -> Path:
    """Write `speech.flac` with the synthesiser flite and its voice slt."""
    target = ASSETS / "speech.flac"
    with tempfile.TemporaryDirectory() as folder:
        wav = Path(folder) / "speech.wav"
        subprocess.run(["flite", "-voice", "slt", "-t", TEXT, "-o", str(wav)], check=True)
        with av.open(str(wav)) as source, av.open(str(target), "w") as container:
            stream = container.add_stream("flac", rate=source.streams.audio[0].rate)
            stream.layout = "mono"
            for frame in source.decode(audio=0):
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
    return target


def main() -> None:
    """See the module's text."""
    if sys.argv[1:2] == ["speech"]:
        made = make_speech()
    elif sys.argv[1:2] == ["portrait"] and len(sys.argv) == 3:
        made = make_portrait(Path(sys.argv[2]))
    else:
        raise SystemExit(__doc__)
    sys.stderr.write(f"{made}: {made.stat().st_size} bytes\n")


if __name__ == "__main__":
    main()
