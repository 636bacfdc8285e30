"""Photographs of phones: in tiles, turned, and of many megapixels."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ExifTags, Image

from pipeline.errors import InputUnreadable, MediaLimitExceeded
from pipeline.reading import trial
from pipeline.reading.decode import FrameReader
from pipeline.reading.photograph import Photograph
from pipeline.reading.probe import probe_video
from pipeline.types import Limits
from schemas.codes import Stage
from schemas.request import RenderOptions
from tests.support.heif import write_tiled

SIDE = 64


def _picture() -> NDArray[np.uint8]:
    """Rows of grey steps and a red corner: no two tiles alike, and the last ones cut."""
    rows, columns = np.mgrid[:164, :290]
    grey = 40 + 20 * (rows // 32) + 10 * (columns // 32)
    picture = np.repeat(grey[..., None], 3, axis=2).astype(np.uint8)
    picture[:32, :32] = (200, 40, 40)
    return picture


@pytest.mark.parametrize("quarters", range(4))
def test_tiles_become_one_upright_picture(quarters: int, tmp_path: Path) -> None:
    picture = _picture()
    path = write_tiled(tmp_path / "IMG_1.HEIC", picture, SIDE, quarters)
    facts = probe_video(path, Limits(), RenderOptions())
    assert facts.still
    (frame,) = FrameReader(facts, 1).read([0])
    upright = np.rot90(picture, quarters)
    luma = 16 + upright @ np.array([0.299, 0.587, 0.114]) * 219 / 255
    assert (frame.height, frame.width) == luma.shape
    assert float(np.abs(frame.y.numpy() - luma).mean()) < 2
    red = frame.v.numpy() > 170
    assert red.mean() == pytest.approx(32 * 32 / luma.size, abs=0.005)
    assert (facts.color.matrix, facts.color.full_range) == (6, False)


@pytest.mark.parametrize("samples", ["gray", "gray10le", "gray12le", "yuv420p10le"])
def test_black_and_white_and_deeper_ones_keep_their_grey(samples: str, tmp_path: Path) -> None:
    grey = np.broadcast_to(np.linspace(0, 255, 256).astype(np.uint8)[None, :, None], (64, 256, 3))
    path = write_tiled(tmp_path / "grey.heic", grey, SIDE, 0, samples)
    facts = probe_video(path, Limits(), RenderOptions())
    (frame,) = FrameReader(facts, 1).read([0])
    assert np.abs(frame.y.numpy() - (16 + grey[..., 0] * (219 / 255))).max() < 4
    assert abs(frame.u.float().mean() - 128) < 2


def test_a_missing_tile_is_said(tmp_path: Path) -> None:
    path = write_tiled(tmp_path / "cut.heic", _picture(), SIDE, 0)
    whole = bytearray(path.read_bytes())
    whole[-400:] = bytes(400)  # the thumbnail
    assert probe_video(path, Limits(), RenderOptions()).width == 290
    start = whole.index(b"mdat") + 4
    whole[start : start + 2000] = bytes(2000)
    path.write_bytes(whole)
    with pytest.raises(InputUnreadable, match="cannot be read as a photograph"):
        probe_video(path, Limits(), RenderOptions())


def test_damaged_boxes_are_said_or_read_over(tmp_path: Path) -> None:
    whole = write_tiled(tmp_path / "good.heic", _picture(), SIDE, 1).read_bytes()
    dice = np.random.default_rng(5)
    path = tmp_path / "bad.heic"
    read = 0
    for _ in range(100):
        bad = bytearray(whole)
        for place in dice.integers(24, 900, 3):
            bad[place] = dice.integers(256)
        path.write_bytes(bad)
        with contextlib.suppress(InputUnreadable, MediaLimitExceeded):
            probe_video(path, Limits(), RenderOptions())
            read += 1
    assert 0 < read < 100


def test_a_photograph_whose_pictures_are_all_damaged_is_said(tmp_path: Path) -> None:
    path = write_tiled(tmp_path / "none.heic", _picture(), SIDE, 1)
    bad = bytearray(path.read_bytes())
    place = bad.index(b"hvcC") + 1
    bad[place : place + 4] = b"\xff" * 4
    path.write_bytes(bad)
    with pytest.raises(InputUnreadable, match="cannot be read as a photograph"):
        probe_video(path, Limits(), RenderOptions())


def test_a_photograph_whose_header_is_damaged_is_said_without_naming_a_folder(
    tmp_path: Path,
) -> None:
    path = tmp_path / "IMG_4.avif"
    Image.fromarray(_picture()).save(path)
    whole = bytearray(path.read_bytes())
    whole[40:200] = bytes(160)
    path.write_bytes(whole)
    with pytest.raises(InputUnreadable, match="header is damaged") as caught:
        probe_video(path, Limits(), RenderOptions())
    assert str(tmp_path) not in caught.value.message


@pytest.mark.parametrize(("orientation", "turned"), [(1, 0), (6, 3), (8, 1), (5, 4)])
def test_an_avif_of_a_phone_stands_upright(orientation: int, turned: int, tmp_path: Path) -> None:
    picture = _picture()
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    path = tmp_path / "IMG_2.avif"
    Image.fromarray(picture).save(path, quality=95, exif=exif)
    facts = probe_video(path, Limits(), RenderOptions())
    (frame,) = FrameReader(facts, 1).read([0])
    upright = np.swapaxes(picture, 0, 1) if turned == 4 else np.rot90(picture, turned)
    luma = 16 + upright @ np.array([0.299, 0.587, 0.114]) * 219 / 255
    assert (facts.still, facts.codec, facts.rotation) == (True, "av1", 0)
    assert (frame.height, frame.width) == luma.shape
    assert float(np.abs(frame.y.numpy() - luma).mean()) < 2


def test_what_lies_hidden_in_a_cut_out_avif_is_white(tmp_path: Path) -> None:
    path = tmp_path / "cut_out.avif"
    picture = Image.new("RGBA", (64, 48), (200, 40, 40, 0))
    picture.paste((200, 40, 40, 255), (32, 0, 64, 48))
    picture.save(path)
    (frame,) = FrameReader(probe_video(path, Limits(), RenderOptions()), 1).read([0])
    assert int(frame.y[:, :28].min()) >= 234
    assert int(frame.y[:, 36:].max()) < 120


@pytest.mark.parametrize("name", ["large.png", "large.jpg", "large.avif", "large.bmp"])
def test_a_still_of_many_megapixels_is_scaled_down(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    Image.new("RGB", (600, 400), (0, 200, 0)).save(path)
    facts = probe_video(path, Limits(max_pixels=60_000), RenderOptions())
    assert (facts.width, facts.height) == (300, 200)
    assert facts.scale == 0.5
    (frame,) = FrameReader(facts, 1).read([0])
    assert (frame.width, frame.height) == (300, 200)
    with pytest.raises(MediaLimitExceeded, match="600x400, more than 70000 pixels"):
        probe_video(path, Limits(max_pixels=10_000), RenderOptions())


@pytest.mark.parametrize("name", ["large.png", "large.jpg"])
def test_a_still_of_50_megapixels_of_a_phone_is_read_whatever_its_bytes(
    name: str, tmp_path: Path
) -> None:
    """Of a file above 5 MB libavformat does not tell the size."""
    grain = np.random.default_rng(2).integers(0, 256, (1020, 1020), dtype=np.uint8)
    path = tmp_path / name
    Image.fromarray(np.tile(grain, (6, 8))).save(path, quality=50, compress_level=0)
    assert path.stat().st_size > 8_000_000
    facts = probe_video(path, Limits(), RenderOptions(max_height=360))
    (frame,) = FrameReader(facts, 1).read([0])
    assert (frame.width, frame.height) == (480, 360)
    assert 100 < float(frame.y.float().mean()) < 155


def test_a_photograph_whose_size_is_a_lie_takes_no_memory(tmp_path: Path) -> None:
    """A kilobyte of AVIF took gigabytes before it was refused."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    path = tmp_path / "bomb.avif"
    Image.new("RGB", (8000, 8100), (90, 80, 70)).save(path, quality=20, speed=10, exif=exif)
    trial._POOL.close()
    with pytest.raises(MediaLimitExceeded, match="8100x8000, more than"):
        probe_video(path, Limits(), RenderOptions())
    (process,) = trial._POOL.idle
    told = Path(f"/proc/{process.pid}/status").read_text()
    assert int(told.partition("VmHWM:")[2].split()[0]) < 150_000  # KB; the picture has 190,000


@pytest.mark.parametrize("name", ["slow.avif", "slow.webp"])
def test_reading_a_photograph_ends_when_its_time_is_over(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    Image.effect_noise((2800, 2800), 60).convert("RGB").save(path, quality=60, speed=10, method=0)
    with pytest.raises(MediaLimitExceeded, match=r"reading takes longer than 0\.02 s"):
        Photograph(path, Limits(probe_timeout_s=0.02), Stage.PROBE).go(0)
    assert Photograph(path, Limits(), Stage.PROBE).go(0).width == 2800


def test_a_lossless_webp_is_read_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 8
    path = tmp_path / "a.webp"
    Image.fromarray(_picture()).save(path, lossless=True, exif=exif)
    facts = probe_video(path, Limits(), RenderOptions())
    (frame,) = FrameReader(facts, 1).read([0])
    luma = 16 + np.rot90(_picture()) @ np.array([0.299, 0.587, 0.114]) * 219 / 255
    assert (frame.height, frame.width) == luma.shape
    assert float(np.abs(frame.y.numpy() - luma).mean()) < 1
