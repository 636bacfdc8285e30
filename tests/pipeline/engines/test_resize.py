"""Our resampling gives the bytes of OpenCV and of Pillow."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from pipeline.engines.neural.mask import gaussian_blur
from pipeline.engines.resize import opencv_lanczos4, opencv_linear, pillow_bicubic


def _picture(height: int, width: int) -> Tensor:
    """(3, H, W) uint8, the same formula that the digests below were made from."""
    y, x, c = np.ogrid[:height, :width, :3]
    value = 37 * x + 101 * y + 53 * c + ((x * y) >> 3) + ((x * x + y * y) >> 4)
    return torch.from_numpy((value & 255).astype(np.uint8)).permute(2, 0, 1)


def _digest(picture: Tensor) -> int:
    return zlib.crc32(np.ascontiguousarray(picture.numpy()).tobytes())


# CRC-32 of what cv2.resize of OpenCV 5.0.0 gives for the formula's picture.
OPENCV = [
    ("linear", 213, 187, 256, 256, 0x11015B63),
    ("lanczos4", 213, 187, 256, 256, 0x0ADEDF24),
    ("linear", 300, 411, 256, 256, 0xDC4EEE05),
    ("lanczos4", 300, 411, 256, 256, 0x68573237),
    ("linear", 256, 256, 173, 141, 0x33D3C023),
    ("lanczos4", 256, 256, 173, 141, 0xD79DA02A),
    ("linear", 256, 256, 391, 377, 0x1B056A49),
    ("lanczos4", 256, 256, 391, 377, 0xC2007E19),
    ("linear", 256, 256, 128, 128, 0xB5DFF83C),
    ("lanczos4", 256, 256, 128, 128, 0x4C55FD86),
    ("linear", 96, 96, 157, 131, 0x8ED948E0),
    ("lanczos4", 96, 96, 157, 131, 0x5B20A552),
    ("linear", 7, 9, 40, 33, 0xBE3DBF46),
    ("lanczos4", 7, 9, 40, 33, 0x1A5121E0),
    ("linear", 64, 64, 64, 64, 0x559C0BC7),
    ("lanczos4", 64, 64, 64, 64, 0x559C0BC7),
]

# CRC-32 of what cv2.GaussianBlur(mask, (k, k), 0) of OpenCV 5.0.0 gives.
BLURS = [
    (1, 0x6819D05A),
    (3, 0xA81A5DBB),
    (5, 0x482B72B5),
    (7, 0x71A46E85),
    (9, 0x1CBE94C0),
    (13, 0xA9BF13FD),
    (33, 0xEC7D2ADB),
    (67, 0x361BEC3A),
]


@pytest.mark.parametrize(("kind", "h", "w", "height", "width", "digest"), OPENCV)
def test_opencv_resizing_is_met_to_the_byte(
    kind: str, h: int, w: int, height: int, width: int, digest: int
) -> None:
    resize = opencv_linear if kind == "linear" else opencv_lanczos4
    assert _digest(resize(_picture(h, w), height, width).permute(1, 2, 0)) == digest


@pytest.mark.parametrize(("height", "width"), [(258, 258), (660, 660), (100, 77), (512, 300)])
def test_pillow_resizing_is_met_to_the_byte(height: int, width: int) -> None:
    mask = _picture(512, 512)[0]
    want = np.asarray(Image.fromarray(mask.numpy()).resize((width, height)))
    assert np.array_equal(pillow_bicubic(mask, height, width).numpy(), want)


@pytest.mark.parametrize(("taps", "digest"), BLURS)
def test_opencv_blur_is_met_to_the_byte(taps: int, digest: int) -> None:
    mask = (_picture(90, 80)[0] > 128).to(torch.uint8) * 255
    assert _digest(gaussian_blur(mask, taps)) == digest


def test_batches_are_resized_like_single_pictures() -> None:
    stack = torch.stack([_picture(40, 50), _picture(40, 50).flip(0)])
    for resize in (opencv_linear, opencv_lanczos4, pillow_bicubic):
        both = resize(stack, 33, 61)
        assert torch.equal(both[1], resize(stack[1], 33, 61))
