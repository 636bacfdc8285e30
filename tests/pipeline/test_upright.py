"""Stills as cameras and editors write them: with a colour profile, and turned."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image, ImageCms

from pipeline.probe import probe_video
from pipeline.types import Limits
from schemas.request import RenderOptions

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
LOOK_OFTEN = """
import gc, sys
from pathlib import Path
from pipeline.probe import probe_video
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
