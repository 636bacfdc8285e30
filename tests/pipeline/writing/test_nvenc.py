"""Who encodes, with and without a device that does; x264 stands for a GPU's encoder."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import av
import pytest
import torch

from consumer.caches import weights_root
from pipeline.errors import EngineUnavailable
from pipeline.hardware import EncoderName, allow
from pipeline.weights import use_weights_root
from pipeline.writing import nvenc, x264
from tests.pipeline.avatars.test_render import make
from tests.pipeline.writing.calls import encode, encoder, frame_of, speech


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    nvenc._trouble.cache_clear()
    yield
    nvenc._trouble.cache_clear()
    allow(encoder="x264")


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> None:
    """An encoder that works, under another name than the one of every machine."""
    monkeypatch.setattr(nvenc, "CODEC", "mpeg4")
    monkeypatch.setattr(nvenc, "options", lambda crf: {"qscale": "2"})


def test_without_the_setting_no_device_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvenc, "_tried", None)
    assert not nvenc.chosen("cuda")


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_auto_falls_back_where_nothing_encodes(device: str, tmp_path: Path) -> None:
    if device == "cuda" and torch.cuda.is_available():
        pytest.skip("a CUDA device might encode")
    allow(encoder="auto")
    assert not nvenc.chosen(device)
    path = encode(tmp_path / "out.mp4", speech(tmp_path, 0.2), 5, device=device)
    assert b"x264" in path.read_bytes()


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_demanded_encoder_that_is_not_there_is_an_error_that_says_what_to_do(
    device: str, tmp_path: Path
) -> None:
    if device == "cuda" and torch.cuda.is_available():
        pytest.skip("a CUDA device might encode")
    allow(encoder="nvenc")
    with pytest.raises(EngineUnavailable, match=f"nvenc, but {device} does not.*set x264 or auto"):
        encode(tmp_path / "out.mp4", speech(tmp_path, 0.2), 5, device=device)
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize("wanted", ["auto", "nvenc"])
@pytest.mark.usefixtures("there")
def test_an_encoder_that_proved_itself_makes_the_file(wanted: EncoderName, tmp_path: Path) -> None:
    allow(encoder=wanted)
    assert nvenc.chosen("cuda")
    path = encode(tmp_path / "out.mp4", speech(tmp_path, 0.2), 5, device="cuda")
    with av.open(str(path)) as made:
        assert made.streams.video[0].codec_context.name == "mpeg4"
        assert sum(1 for _ in made.decode(video=0)) == 5


@pytest.mark.parametrize("wanted", ["auto", "nvenc"])
def test_an_encoder_without_a_free_session_leaves_its_film_to_x264_and_says_so(
    wanted: EncoderName, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It opened once, when it was tried. Here it is not there at all, which libavcodec finds."""
    if torch.cuda.is_available():
        pytest.skip("a CUDA device might encode")
    want = encode(tmp_path / "want.mp4", speech(tmp_path, 0.4), 10).read_bytes()
    monkeypatch.setattr(nvenc, "_trouble", lru_cache(lambda device: None))
    allow(encoder=wanted)
    with encoder(tmp_path / "out.mp4", speech(tmp_path, 0.4), 10, device="cuda") as made:
        for n in range(10):
            made.write(frame_of(n))
        (said,) = made.warnings
    assert "encoded by x264" in said
    assert (tmp_path / "out.mp4").read_bytes() == want, "the same file, and no frame is missing"


def test_a_job_without_a_free_session_says_so_in_its_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if torch.cuda.is_available():
        pytest.skip("a CUDA device might encode")
    use_weights_root(weights_root())
    want = make(tmp_path, "want", tmp_path / "cache")
    monkeypatch.setattr(nvenc, "chosen", lambda device: True)
    made = make(tmp_path, "made", tmp_path / "cache")
    assert made.pixels == want.pixels
    (note,) = set(made.report.warnings) - set(want.report.warnings)
    assert "encoded by x264" in note


def test_the_trial_finds_pictures_that_are_missing_or_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert nvenc._tried(x264.CODEC, x264.options(18, 640, 360)) is None
    whole = nvenc._decoded
    monkeypatch.setattr(nvenc, "_decoded", lambda film: whole(film)[1:])
    assert nvenc._tried(x264.CODEC, x264.options(18, 640, 360)) == "5 of 6 pictures came back"
    monkeypatch.setattr(nvenc, "_decoded", lambda film: whole(film)[::-1])
    assert "levels apart" in str(nvenc._tried(x264.CODEC, x264.options(18, 640, 360)))
    assert "no_such_codec" in str(nvenc._tried("no_such_codec", {}))


@pytest.mark.parametrize("works", [True, False])
def test_who_encodes_is_tried_and_said_once_for_each_device(
    works: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tried: list[tuple[str, dict[str, str]]] = []

    def trial(codec: str, settings: dict[str, str]) -> str | None:
        tried.append((codec, settings))
        return None if works else "no capable devices found"

    monkeypatch.setattr(nvenc, "_tried", trial)
    allow(encoder="auto")
    with caplog.at_level(logging.INFO, "pipeline.writing.nvenc"):
        assert [nvenc.chosen("cuda") for _ in range(2)] == [works] * 2
    assert tried == [("h264_nvenc", nvenc.options(18))]
    where = "cuda" if works else "the processors: cuda does not (no capable devices found)"
    assert [each.getMessage() for each in caplog.records] == [f"videos are encoded on {where}"]


def test_a_rate_factor_becomes_constant_quality_without_bytes_of_chance() -> None:
    told = nvenc.options(23)
    assert (told["rc"], told["cq"], told["b"]) == ("vbr", "23", "0")


@pytest.mark.gpu
def test_a_gpu_encodes_or_says_why_not(tmp_path: Path) -> None:
    allow(encoder="auto")
    path = encode(tmp_path / "out.mp4", speech(tmp_path, 0.4), 10, device="cuda")
    with av.open(str(path)) as made:
        assert sum(1 for _ in made.decode(video=0)) == 10
