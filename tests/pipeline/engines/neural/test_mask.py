"""The mask covers mouth and chin, and nothing outside it is touched."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.engines.neural.boxes import Box, blend_square
from pipeline.engines.neural.mask import SIDE, gaussian_blur, grown_skin
from tests.pipeline.engines.resized import digest, formula
from tests.pipeline.engines.single import (
    NECK,
    NOSE,
    SKIN,
    UPPER_LIP,
    blend_mask,
    paste,
    region_mask,
)

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


def _classes() -> torch.Tensor:
    """A face of skin with a nose and lips, on nothing."""
    y, x = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    classes = torch.zeros(SIDE, SIDE, dtype=torch.uint8)
    classes[((x - 256) / 120) ** 2 + ((y - 250) / 150) ** 2 < 1] = SKIN
    classes[230:290, 236:276] = NOSE
    classes[320:345, 216:296] = UPPER_LIP
    classes[420:] = NECK
    return classes


def test_nose_and_neck_stay_out_of_the_mask_and_lips_are_in() -> None:
    mask = region_mask(_classes())
    assert not mask[230:290, 236:276].any()
    assert (mask[320:345, 216:296] == 255).all()
    assert not mask[500:].any()


def test_skin_that_fills_the_picture_stays_there_whatever_its_sums_wrap_to() -> None:
    whole = torch.ones(SIDE, SIDE, dtype=torch.bool)
    assert grown_skin(whole).all()
    whole[: SIDE // 2] = False
    assert torch.equal(grown_skin(whole), grown_skin(torch.stack([whole] * 2))[1])
    assert not grown_skin(whole)[: SIDE // 2 - 40].any()
    assert grown_skin(whole)[SIDE // 2 :].all()


def test_skin_grows_below_the_chin_and_not_beside_the_cheeks() -> None:
    classes = _classes()
    raw, jaw = region_mask(classes, "raw"), region_mask(classes, "jaw")
    assert jaw[:, 256].nonzero().max() > raw[:, 256].nonzero().max()
    row = 250
    assert jaw[row].nonzero().min() >= raw[row].nonzero().min() - 1


@settings(max_examples=25, deadline=None)
@given(
    x0=st.integers(-60, 250),
    y0=st.integers(-40, 150),
    width=st.integers(16, 200),
    height=st.integers(16, 200),
)
def test_paste_touches_nothing_outside_its_mask(x0: int, y0: int, width: int, height: int) -> None:
    box = Box(x0, y0, x0 + width, y0 + height)
    region = torch.full((SIDE, SIDE), 255, dtype=torch.uint8)
    mask, _ = blend_mask(region, box)
    frame = torch.randint(0, 256, (3, 240, 300), dtype=torch.uint8)
    face = torch.randint(0, 256, (3, height, width), dtype=torch.uint8)
    result = paste(frame, face, box, mask)
    square = blend_square(box)
    seen = square.clamped(240, 300)
    touched = torch.zeros(240, 300, dtype=torch.bool)
    part = mask[
        seen.y0 - square.y0 : seen.y1 - square.y0, seen.x0 - square.x0 : seen.x1 - square.x0
    ]
    touched[seen.y0 : seen.y1, seen.x0 : seen.x1] = part > 0
    assert torch.equal(result[:, ~touched], frame[:, ~touched])


def test_upper_half_of_the_square_stays_as_it_is() -> None:
    box = Box(100, 100, 200, 220)
    _, hard = blend_mask(torch.full((SIDE, SIDE), 255, dtype=torch.uint8), box)
    assert not hard[: hard.shape[0] // 2].any()
    assert hard[hard.shape[0] // 2 :].any()


@pytest.mark.parametrize(("taps", "crc"), BLURS)
def test_opencv_blur_is_met_to_the_byte(taps: int, crc: int) -> None:
    mask = (formula(90, 80)[0] > 128).to(torch.uint8) * 255
    assert digest(gaussian_blur(mask, taps)) == crc
