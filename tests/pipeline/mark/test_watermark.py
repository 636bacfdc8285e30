"""The watermark: invisible by figures, read back after re-encoding, not seen where none is."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pipeline.mark.applying import seal
from pipeline.mark.reading import read_labels
from pipeline.mark.watermark import EVERY, Watermark, job_digest, read_watermark
from pipeline.types import Frame, Marks, RenderSpec
from tests.pipeline.mark.clips import ENGINE, JOB
from tests.pipeline.test_encode import encode, speech

pytest.importorskip("imwatermark", reason="the extra `watermark` is not installed")

WIDTH, HEIGHT, FRAMES = 512, 288, 2 * EVERY + 1
Luma = NDArray[np.uint8]


@cache
def _scene(number: int, seed: int = 7) -> Luma:
    """A textured wall with a light that moves before it, and sensor noise of its own."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    wall = 110 + 40 * np.sin(x / 37 + seed) + 30 * np.cos(y / 23 - seed) + (x + y) % 9
    light = 50 * np.exp(-((x - 3 * number) ** 2 + (y - 180) ** 2) / 4000)
    noise = np.random.default_rng(1000 * seed + number).normal(0, 2, (HEIGHT, WIDTH))
    made: Luma = np.clip(wall + light + noise, 0, 255).astype(np.uint8)
    return made


def _frame(luma: Luma, index: int = 0) -> Frame:
    chroma = torch.full((luma.shape[0] // 2, luma.shape[1] // 2), 128, dtype=torch.uint8)
    return Frame(torch.from_numpy(luma), chroma, chroma, index)


def _marked() -> list[Luma]:
    mark = Watermark(JOB)
    return [mark.apply(_frame(_scene(n), n)).y.numpy() for n in range(FRAMES)]


def _write(path: Path, lumas: list[Luma], crf: int, scale: int = 1) -> Path:
    height, width = (side // scale for side in lumas[0].shape)
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=25, options={"crf": str(crf)})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.gop_size = EVERY  # else a marked picture is no keyframe
        for luma in lumas:
            planes = np.full((luma.shape[0] * 3 // 2, luma.shape[1]), 128, np.uint8)
            planes[: luma.shape[0]] = luma
            frame = av.VideoFrame.from_ndarray(planes, "yuv420p")
            output.mux(stream.encode(frame.reformat(width=width, height=height)))
        output.mux(stream.encode(None))
    return path


def _read(path: Path, skip: int = 0) -> Iterator[Luma]:
    with av.open(str(path)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number >= skip:
                yield frame.to_ndarray()[: frame.height, : frame.width].astype(np.uint8)


def test_marked_picture_stays_above_45_db_and_others_stay_identical() -> None:
    for number, made in enumerate(_marked()):
        plain = _scene(number)
        if number % EVERY:
            assert np.array_equal(made, plain)
        else:
            mse = float(np.mean((made.astype(float) - plain) ** 2))
            assert mse > 0
            assert 10 * np.log10(255**2 / mse) >= 45


def test_chroma_and_input_are_left_alone() -> None:
    frame = _frame(_scene(0))
    made = Watermark(JOB).apply(frame)
    assert np.array_equal(frame.y.numpy(), _scene(0))
    assert made.u is frame.u
    assert made.v is frame.v


@pytest.mark.parametrize(("crf", "scale"), [(28, 1), (18, 2)])
def test_job_digest_survives_encoding_anew_where_keyframes_are_marked(
    tmp_path: Path, crf: int, scale: int
) -> None:
    first = _write(tmp_path / "first.mp4", _marked(), 18)
    again = _write(tmp_path / "again.mp4", list(_read(first)), crf, scale)
    assert read_watermark(_read(again)) == job_digest(JOB)


def test_digest_is_found_where_the_beginning_was_cut_off(tmp_path: Path) -> None:
    path = _write(tmp_path / "out.mp4", _marked(), 23)
    assert read_watermark(_read(path, skip=17)) == job_digest(JOB)


def test_another_job_has_another_digest() -> None:
    assert job_digest(JOB) != job_digest(JOB + "0")


def test_nothing_is_found_in_fifty_clips_of_others() -> None:
    for seed in range(50):
        clip = [_scene(0, seed)]
        assert read_watermark(iter(clip)) is None


@pytest.mark.parametrize("size", [(2, 2), (18, 400), (64, 64)])
def test_pictures_too_small_for_a_mark_do_not_fail(size: tuple[int, int]) -> None:
    luma = np.full(size, 90, np.uint8)
    assert Watermark(JOB).apply(_frame(luma)).y.shape == size
    assert read_watermark(iter([luma])) is None


def test_report_and_detect_name_the_watermark_after_all_metadata_is_gone(tmp_path: Path) -> None:
    path = _write(tmp_path / "bare.mp4", _marked(), 18)
    assert read_labels(path)["layers"]["watermark"] == {
        "status": "found",
        "digest": job_digest(JOB),
    }
    labels = read_labels(path, None, ["another", JOB])
    assert (labels["found"], labels["job_id"]) == (True, JOB)
    assert labels["layers"]["c2pa"]["status"] == "absent"


def test_watermark_is_reported_only_where_it_is_on(tmp_path: Path) -> None:
    audio = speech(tmp_path, 0.4)
    path = encode(tmp_path / "out.mp4", audio, 10)
    for on in (True, False):
        marks = Marks(watermark=on)
        spec = RenderSpec(audio.path, audio.path, path, tmp_path, job_id=JOB, marks=marks)
        wanted = {"digest": job_digest(JOB), "every_frames": EVERY} if on else "off"
        assert seal(spec, ENGINE)["watermark"] == wanted
