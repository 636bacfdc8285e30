"""Pictures in other colours than sRGB's look in the output as they do elsewhere."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, ImageOps

from pipeline.reading.decode import FrameReader
from pipeline.reading.icc_profile import has_foreign_profile
from pipeline.reading.probe import probe_video
from pipeline.types import Limits
from schemas.request import RenderOptions
from tests.support.profiles import ADOBE_RGB, DISPLAY_P3, make_profile

SKIN = (200, 150, 120)
LIPS = (180, 40, 40)
SRGB = ImageCms.createProfile("sRGB")


def _face() -> Image.Image:
    """Skin on the left, lips on the right."""
    picture: NDArray[np.uint8] = np.empty((96, 128, 3), np.uint8)
    picture[:, :64], picture[:, 64:] = SKIN, LIPS
    return Image.fromarray(picture)


def _saved(path: Path, profile: bytes, **more: Any) -> Path:
    """The face as a camera of that profile writes it."""
    told = ImageCms.getOpenProfile(BytesIO(profile))
    picture = ImageCms.profileToProfile(_face(), SRGB, told)
    assert picture is not None
    picture.save(path, quality=98, lossless=True, icc_profile=profile, **more)
    return path


def _shown(path: Path) -> list[list[float]]:
    """Skin and lips as a player shows them, RGB."""
    facts = probe_video(path, Limits(), RenderOptions())
    assert (facts.color.matrix, facts.color.primaries, facts.color.transfer) == (6, 1, 13)
    (frame,) = FrameReader(facts, 1).read([0])
    colours = []
    for side in (np.s_[10:40, 10:22], np.s_[10:40, 42:54]):
        luma = frame.y.numpy()[20:80][:, side[1].start * 2 : side[1].stop * 2].mean()
        y = (float(luma) - 16) * 255 / 219
        u, v = (
            (float(plane.numpy()[side].mean()) - 128) * 255 / 224 for plane in (frame.u, frame.v)
        )
        red, blue = y + 1.402 * v, y + 1.772 * u
        colours.append([red, (y - 0.299 * red - 0.114 * blue) / 0.587, blue])
    return colours


@pytest.mark.parametrize("colorants", [DISPLAY_P3, ADOBE_RGB], ids=["p3", "adobe"])
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.avif"])
def test_skin_and_lips_keep_their_colour(
    name: str, colorants: tuple[tuple[float, ...], ...], tmp_path: Path
) -> None:
    skin, lips = _shown(_saved(tmp_path / name, make_profile(colorants)))
    assert np.abs(np.subtract(skin, SKIN)).max() < 4
    assert np.abs(np.subtract(lips, LIPS)).max() < 4


def test_a_photograph_in_colours_of_its_own_stands_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 3
    path = _saved(tmp_path / "IMG_3.jpg", make_profile(DISPLAY_P3), exif=exif)
    lips, skin = _shown(path)
    assert np.abs(np.subtract(skin, SKIN)).max() < 4
    assert np.abs(np.subtract(lips, LIPS)).max() < 4


@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
def test_with_the_profile_of_srgb_samples_stay_as_they_are(name: str, tmp_path: Path) -> None:
    plain, told = tmp_path / f"plain-{name}", tmp_path / name
    _face().save(plain)
    _face().save(told, icc_profile=ImageCms.ImageCmsProfile(SRGB).tobytes())
    frames = []
    for path in (plain, told):
        facts = probe_video(path, Limits(), RenderOptions())
        frames += list(FrameReader(facts, 1).read([0]))
    assert frames[0].y.equal(frames[1].y)
    assert frames[0].u.equal(frames[1].u)
    assert not has_foreign_profile(told)


@pytest.mark.parametrize("length", [1, 130, 140, 300, 400])
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.avif"])
def test_a_damaged_profile_is_no_reason_to_refuse_a_picture(
    name: str, length: int, tmp_path: Path
) -> None:
    path = tmp_path / name
    _face().save(path, icc_profile=make_profile(ADOBE_RGB)[:length])
    assert probe_video(path, Limits(), RenderOptions()).width == 128


@pytest.mark.parametrize("length", [0, 1])
def test_a_segment_that_claims_to_be_shorter_than_its_length_is_not_read(
    length: int, tmp_path: Path
) -> None:
    """A length of 1 made the whole file a profile, and one of 0 was a defect."""
    path = tmp_path / "a.jpg"
    _face().save(path, quality=98)
    whole = path.read_bytes()
    profile = b"ICC_PROFILE\0\1\1" + make_profile(DISPLAY_P3)
    path.write_bytes(whole[:2] + b"\xff\xe2" + length.to_bytes(2, "big") + profile + whole[2:])
    assert not has_foreign_profile(path)


@pytest.mark.parametrize(
    "exif",
    [b"MM\0*", b"MM\0*\0\0\0\x08\0", b"no TIFF at all", bytes(64)],
    ids=["four bytes", "cut", "words", "zeros"],
)
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp"])
def test_damaged_words_of_a_camera_are_no_reason_to_refuse_a_picture(
    name: str, exif: bytes, tmp_path: Path
) -> None:
    path = _saved(tmp_path / name, make_profile(DISPLAY_P3), exif=b"Exif\0\0" + exif)
    skin, _ = _shown(path)
    assert np.abs(np.subtract(skin, SKIN)).max() < 4


@pytest.mark.parametrize("way", range(10))
def test_a_photograph_stands_upright_whichever_way_the_camera_was_held(
    way: int, tmp_path: Path
) -> None:
    """0 and 9 are no ways."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = way
    path = _saved(tmp_path / "a.jpg", make_profile(DISPLAY_P3), exif=exif)
    facts = probe_video(path, Limits(), RenderOptions())
    (frame,) = FrameReader(facts, 1).read([0])
    with Image.open(path) as picture:
        want = np.asarray(ImageOps.exif_transpose(picture).convert("L"), float)
    assert frame.y.shape == want.shape
    assert float(np.abs(frame.y.numpy() - (16 + want * 219 / 255)).mean()) < 4


@pytest.mark.parametrize("name", ["a.jpg", "a.png"])
def test_the_last_bytes_that_an_upload_lost_cost_no_picture(name: str, tmp_path: Path) -> None:
    path = _saved(tmp_path / name, make_profile(DISPLAY_P3))
    path.write_bytes(path.read_bytes()[:-20])
    skin, _ = _shown(path)
    assert np.abs(np.subtract(skin, SKIN)).max() < 4
