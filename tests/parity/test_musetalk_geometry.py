"""MuseTalk's boxes, masks, paste and crop, to the byte."""

from __future__ import annotations

import re
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.engines.musetalk.boxes import EXTRA_MARGIN, landmark_boxes
from pipeline.engines.musetalk.picture import SIDE, normalised
from pipeline.engines.neural.boxes import Box, blend_square
from pipeline.engines.neural.mask import (
    blur_width,
    cheek_columns,
    cheek_kernel,
    cone_kernel,
)
from pipeline.timeline import Timeline
from schemas.request import Loop
from tests.parity.compare import Array, close, equal
from tests.parity.conftest import Npz
from tests.pipeline.engines.resized import opencv_linear
from tests.pipeline.engines.single import Mode, blend_mask, crop, face_box, paste, region_mask

pytestmark = pytest.mark.parity


@pytest.fixture(scope="module")
def vectors(npz: Npz) -> dict[str, Array]:
    return npz("musetalk_geometry")


def _picture(array: Array) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array)).permute(2, 0, 1)


def _box(array: Array) -> Box:
    return Box(*(int(value) for value in array))


def _listed(box: Box) -> list[int]:
    return [box.x0, box.y0, box.x1, box.y1]


def _rule(landmarks: Array, shift: int = 0) -> Box:
    return landmark_boxes(torch.from_numpy(landmarks).unsqueeze(0), shift)[0]


def test_landmark_rule_gives_the_originals_box(vectors: dict[str, Array]) -> None:
    for n, want in enumerate(vectors["box"]):
        rule = _rule(vectors["lm68"][n], int(vectors["bbox_shift"][n]))
        detected = vectors["detector_box"][n]
        if (detected < 0).all():  # the original's mark of a frame without a face
            expected = [0, 0, 0, 0]
        elif rule.x0 < 0 or rule.width <= 0 or rule.height <= 0:
            expected = detected.tolist()  # the original jumps to the detector's box; we do not
        else:
            expected = _listed(rule)
        equal(f"musetalk box[{n}]", np.array(expected), want.astype(np.int64))
        bottom = min(expected[3] + EXTRA_MARGIN, int(vectors["frame_hw"][n][0]))
        expected = [*expected[:3], bottom]
        equal(f"musetalk box_v15[{n}]", np.array(expected), vectors["box_v15"][n].astype(np.int64))


def test_job_box_is_the_rule_inside_the_picture_and_never_another_framing(
    vectors: dict[str, Array],
) -> None:
    for n, points in enumerate(vectors["lm68"]):
        height, width = (int(value) for value in vectors["frame_hw"][n])
        rule = _rule(points)
        got = face_box(torch.from_numpy(points), height, width)
        if rule.width <= 0 or rule.height <= 0:
            assert got is None
            continue
        assert got is not None
        wide = Box(rule.x0, rule.y0, rule.x1, rule.y1 + EXTRA_MARGIN)
        assert got == wide.clamped(height, width)


def test_pingpong_of_the_original_is_ours_without_its_doubled_ends(
    vectors: dict[str, Array],
) -> None:
    for key in (key for key in vectors if re.fullmatch(r"pingpong_\d+", key)):
        want, n = vectors[key], int(key.split("_")[1])
        line = Timeline(Fraction(25), len(want), Fraction(25), n, Loop.PINGPONG)
        doubled = list(range(n)) + list(range(n))[::-1]
        equal(f"musetalk {key}", np.array([doubled[i % (2 * n)] for i in range(len(want))]), want)
        ours = [line.source(i) for i in range(len(want))]
        assert ours[:n] == want[:n].tolist()
        assert max(np.abs(np.diff(ours)), default=0) <= 1


def test_kernels_and_region_masks_match(vectors: dict[str, Array]) -> None:
    equal("musetalk cone_kernel", cone_kernel(), vectors["cone_kernel"])
    equal("musetalk cheek_kernel", cheek_kernel(), vectors["cheek_kernel"])
    columns = cheek_columns().to(torch.uint8)
    equal("musetalk cheek_mask_cols", columns, (vectors["cheek_mask_cols"] > 0).astype(np.uint8))
    classes = torch.from_numpy(vectors["parsing_u8"])
    modes: tuple[Mode, ...] = ("jaw", "neck", "raw")
    for mode in modes:
        equal(f"musetalk mask512_{mode}", region_mask(classes, mode), vectors[f"mask512_{mode}"])


def test_blending_matches(vectors: dict[str, Array]) -> None:
    region = region_mask(torch.from_numpy(vectors["parsing_u8"]))
    cases = sorted(key[:-4] for key in vectors if re.fullmatch(r"blend_[a-z]+_box", key))
    assert cases
    for case in cases:
        box = _box(vectors[f"{case}_box"])
        square = blend_square(box)
        equal(f"musetalk {case}_crop_box", np.array(_listed(square)), vectors[f"{case}_crop_box"])
        assert square.width == square.height == 2 * int(vectors[f"{case}_half_side"])
        assert blur_width(square.height) == int(vectors[f"{case}_blur_kernel"])
        soft, hard = blend_mask(region, box)
        equal(f"musetalk {case}_mask", soft, vectors[f"{case}_mask"])
        if f"{case}_frame_u8_bgr" not in vectors:
            continue
        equal(f"musetalk {case}_mask_before_blur", hard, vectors[f"{case}_mask_before_blur"])
        face = opencv_linear(_picture(vectors[f"{case}_pred_u8_bgr"]), box.height, box.width)
        equal(f"musetalk {case}_face", face.permute(1, 2, 0), vectors[f"{case}_face_u8_bgr"])
        result = paste(_picture(vectors[f"{case}_frame_u8_bgr"]), face, box, soft)
        equal(f"musetalk {case}_result", result.permute(1, 2, 0), vectors[f"{case}_result_u8_bgr"])


def test_crop_and_normalised_pictures_match(npz: Npz) -> None:
    vectors = npz("musetalk_preprocess")
    source = _picture(vectors["src_u8_bgr"])
    cut = crop(source, Box(0, 0, source.shape[2], source.shape[1]))
    equal("musetalk crop", cut.permute(1, 2, 0), vectors["crop_u8_bgr"])
    for name, got in zip(("masked", "ref"), normalised(cut.flip(0).unsqueeze(0)), strict=True):
        rows = got[:, :, 120:136]
        close(f"musetalk {name}_rows", rows, vectors[f"{name}_rows_120_136"], 1e-6)
        close(f"musetalk {name}_stride8", got[..., ::8, ::8], vectors[f"{name}_stride8"], 1e-6)
        exact = got.double()
        stats = [exact.sum(), exact.square().sum(), exact.min(), exact.max()]
        close(f"musetalk {name}_stats", np.array(stats), vectors[f"{name}_stats"], 1e-6)
    assert (normalised(cut.unsqueeze(0))[0][..., SIDE // 2 :, :] == -1).all()
