"""Stills as cameras and editors write them: with a colour profile, and turned."""

from __future__ import annotations

import subprocess
import sys
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image, ImageCms, ImageOps

from pipeline.reading.decode import FrameReader
from pipeline.reading.probe import probe_video
from pipeline.types import Limits
from schemas.request import RenderOptions

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
LOOK_OFTEN = """
import gc, sys
from pathlib import Path
from pipeline.reading.decode import FrameReader
from pipeline.reading.probe import probe_video
from pipeline.types import Limits
from schemas.request import RenderOptions

for _ in range(12):
    for name in sys.argv[1:]:
        probe_video(Path(name), Limits(), RenderOptions())
    gc.collect()
"""


def test_png_with_a_colour_profile_does_not_end_the_process(tmp_path: Path) -> None:
    """Memory that is freed twice is noticed late, so it takes many looks, and a process to lose."""
    paths = [tmp_path / f"{mode}.png" for mode in ("RGB", "RGBA", "L", "LA", "P")]
    for path in paths:
        Image.new(path.stem, (96, 64)).save(path, icc_profile=PROFILE)
    command = [sys.executable, "-c", LOOK_OFTEN, *map(str, paths)]
    ended = subprocess.run(command, capture_output=True, check=False)
    assert ended.returncode == 0, ended.stderr.decode()[-500:]


@pytest.mark.parametrize("name", ["still.png", "still.jpg"])
def test_still_with_a_colour_profile_is_turned_upright(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    turned = Image.Exif()
    turned[0x0112] = 6  # the right side is up
    Image.new("RGB", (96, 64)).save(path, icc_profile=PROFILE, exif=turned)
    facts = probe_video(path, Limits(), RenderOptions())
    assert (facts.width, facts.height) == (64, 96)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["png", "jpg"])
def test_stills_are_turned_and_mirrored_back(kind: str, orientation: int, tmp_path: Path) -> None:
    """Selfie cameras write the mirrored four of EXIF's eight orientations."""
    upright = Image.new("L", (96, 64))
    upright.paste(255, (0, 0, 48, 32))  # bright above left
    undo = Image.Exif()
    undo[0x0112] = {6: 8, 8: 6}.get(orientation, orientation)
    coded = ImageOps.exif_transpose(_with(upright, undo))
    turned = Image.Exif()
    turned[0x0112] = orientation
    path = tmp_path / f"still.{kind}"
    coded.convert("RGB").save(path, exif=turned)
    facts = probe_video(path, Limits(), RenderOptions())
    (frame,) = FrameReader(facts, 1).read([0])
    bright = (frame.y[16::32, 24::48] > 128).tolist()
    assert bright == [[True, False], [False, False]]


def _with(picture: Image.Image, exif: Image.Exif) -> Image.Image:
    """The picture with EXIF data, as a file gives it."""
    file = BytesIO()
    picture.save(file, "png", exif=exif)
    return Image.open(file)


@pytest.mark.parametrize("name", ["cut.png", "pal.png", "grey.png", "cut.webp", "cut.gif"])
def test_what_is_transparent_becomes_white_whatever_lies_hidden_there(
    name: str, tmp_path: Path
) -> None:
    picture = Image.new("RGBA", (96, 64), (40, 40, 40, 255))
    picture.paste((0, 255, 0, 0), (0, 0, 48, 64))
    if name.startswith("pal"):
        picture = picture.quantize(4)
    elif name.startswith("grey"):
        picture = picture.convert("LA")
    path = tmp_path / name
    picture.save(path, lossless=True, exact=True)
    facts = probe_video(path, Limits(), RenderOptions())
    (frame,) = FrameReader(facts, 1).read([0])
    white, dark = (255, 40) if facts.color.full_range else (235, 50)
    for plane, left, right in ((frame.y, white, dark), (frame.u, 128, 128), (frame.v, 128, 128)):
        half = plane.shape[1] // 2
        assert (plane[:, : half - 2].int() - left).abs().max() <= 2
        assert (plane[:, half + 2 :].int() - right).abs().max() <= 2
