"""Pictures are stills, and films that look like pictures are films."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
from PIL import Image

from pipeline.errors import InputUnreadable
from tests.pipeline.reading.calls import facts
from tests.support.media import Clip, write_clip, write_picture


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt", "full"),
    [
        ("p.png", "png", "rgb24", False),
        ("p.jpg", "mjpeg", "yuvj420p", True),
        ("p.webp", "libwebp", "yuv420p", False),
    ],
)
def test_pictures_are_stills(
    tmp_path: Path, name: str, codec: str, pix_fmt: str, full: bool
) -> None:
    found = facts(write_picture(tmp_path / name, 321, 241, codec=codec, pix_fmt=pix_fmt))
    assert (found.still, found.fps, found.frames) == (True, Fraction(25), 1)
    assert (found.width, found.height, found.has_audio) == (320, 240, False)
    assert found.color.full_range is full


def test_a_video_of_one_frame_is_a_still(tmp_path: Path) -> None:
    found = facts(write_clip(tmp_path / "one.mp4", Clip(frames=1)))
    assert (found.still, found.frames, found.fps) == (True, 1, Fraction(25))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("still.tiff", "read, which are MP4"),
        ("moves.webp", "an animated WebP.* as MP4 or GIF"),
        ("moves.png", "an animated PNG.* as MP4 or GIF"),
    ],
)
def test_pictures_of_kinds_that_are_not_read_say_which_are(
    tmp_path: Path, name: str, message: str
) -> None:
    path = tmp_path / name
    pictures = [Image.new("RGB", (96, 64), shade) for shade in ("red", "blue")]
    pictures[0].save(path, save_all=name.startswith("moves"), append_images=pictures[1:])
    with pytest.raises(InputUnreadable, match=message):
        facts(path)


def test_a_film_in_avif_is_one_and_not_its_title_picture(tmp_path: Path) -> None:
    clip = Clip(width=96, height=64, frames=6, codec="libsvtav1", container="avif")
    found = facts(write_clip(tmp_path / "film.avif", clip))
    assert (found.frames, found.fps, found.still) == (6, Fraction(25), False)
