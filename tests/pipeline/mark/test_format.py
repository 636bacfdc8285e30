"""What a release marked is read by every later one: the format of the watermark is for ever."""

from __future__ import annotations

import numpy as np

from pipeline.mark.lattice import ASIDE, STEP, block_side, places
from pipeline.mark.payload import codeword, job_digest


def test_a_job_has_the_code_word_that_it_had() -> None:
    digest = job_digest("order-4711")
    assert digest == "173d0ddbff"
    assert (
        np.packbits(codeword(digest)).tobytes().hex() == "59b60e7a8b4883d78d6c0b895f41b553913102c0"
    )


def test_its_bits_lie_where_they_lay() -> None:
    assert places(3, 4, 0).tolist() == [[0, 1, 2, 3], [23, 24, 25, 26], [46, 47, 48, 49]]
    assert places(2, 3, 1).tolist() == [[11, 12, 13], [34, 35, 36]]
    assert places(8, 2, 0)[7].tolist() == [6, 7], "the word begins again"
    assert (STEP, ASIDE) == (6.0, 1.0)
    sizes = ((1920, 1080), (1280, 720), (640, 360), (320, 240), (128, 96))
    assert [block_side(*size) for size in sizes] == [64, 40, 20, 12, 8]
