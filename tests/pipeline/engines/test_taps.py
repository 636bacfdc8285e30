"""Our taps give the bytes of OpenCV."""

from __future__ import annotations

import pytest
import torch

from tests.pipeline.engines.resized import digest, formula, opencv_lanczos4, opencv_linear

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


@pytest.mark.parametrize(("kind", "h", "w", "height", "width", "crc"), OPENCV)
def test_opencv_resizing_is_met_to_the_byte(
    kind: str, h: int, w: int, height: int, width: int, crc: int
) -> None:
    resize = opencv_linear if kind == "linear" else opencv_lanczos4
    assert digest(resize(formula(h, w), height, width).permute(1, 2, 0)) == crc


def test_batches_are_resized_like_single_pictures() -> None:
    stack = torch.stack([formula(40, 50), formula(40, 50).flip(0)])
    for resize in (opencv_linear, opencv_lanczos4):
        both = resize(stack, 33, 61)
        assert torch.equal(both[1], resize(stack[1], 33, 61))
