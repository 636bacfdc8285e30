"""Who encodes, with and without a device that does; x264 stands for a GPU's encoder."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import av
import pytest
import torch

from consumer.caches import weights_root
from pipeline.engines.viseme.engine import VisemeEngine
from pipeline.errors import EngineUnavailable
from pipeline.hardware import EncoderName, allow
from pipeline.reading.trial_film import decoded
from pipeline.types import AudioFacts, RenderSpec
from pipeline.weights import use_weights_root
from pipeline.writing import losses, nvenc, x264
from pipeline.writing.output import falling_back_to_x264
from tests.pipeline.avatars.test_render import make
from tests.pipeline.writing.breaking import stand_in, unsteady
from tests.pipeline.writing.calls import encode, encoder, frame_of, speech


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    nvenc._trouble.cache_clear()
    losses._counts.clear()
    yield
    nvenc._trouble.cache_clear()
    losses._counts.clear()
    allow(encoder="x264")


@pytest.fixture
def breaks(
    monkeypatch: pytest.MonkeyPatch,
    there: None,
) -> Callable[[int | None], None]:
    """From now on the device's encoder fails at this picture of each film; None: never."""
    allow(encoder="auto")
    return unsteady(monkeypatch)


def film(
    path: Path, audio: AudioFacts, frames: int, device: str = "cuda"
) -> tuple[bytes, list[str]]:
    """What a job makes of numbered pictures, and what it says of how."""
    spec = RenderSpec(audio.path, audio.path, path, path.parent, device=device)
    notes: list[str] = []
    falling_back_to_x264(spec, lambda by: encode(path, audio, frames, device=by), notes)
    return path.read_bytes(), notes


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> None:
    """An encoder that works, under another name than the one of every machine."""
    stand_in(monkeypatch)


def test_without_the_setting_no_device_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvenc, "_tried", None)
    assert not nvenc.chosen("cuda")


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_auto_falls_back_where_nothing_encodes(device: str, tmp_path: Path) -> None:
    if device == "cuda" and torch.cuda.is_available():
        pytest.skip("a CUDA device might encode")
    allow(encoder="auto")
    assert not nvenc.chosen(device)
    made, notes = film(tmp_path / "out.mp4", speech(tmp_path, 0.2), 5, device)
    assert b"x264" in made
    assert not notes


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_demanded_encoder_that_is_not_there_is_an_error_that_says_what_to_do(
    device: str, tmp_path: Path
) -> None:
    if device == "cuda" and torch.cuda.is_available():
        pytest.skip("a CUDA device might encode")
    allow(encoder="nvenc")
    with pytest.raises(EngineUnavailable, match=f"nvenc, but {device} does not.*set x264 or auto"):
        film(tmp_path / "out.mp4", speech(tmp_path, 0.2), 5, device)
    assert not (tmp_path / "out.mp4").exists()


@pytest.mark.parametrize("wanted", ["auto", "nvenc"])
@pytest.mark.usefixtures("there")
def test_an_encoder_that_proved_itself_makes_the_file(wanted: EncoderName, tmp_path: Path) -> None:
    allow(encoder=wanted)
    assert nvenc.chosen("cuda")
    path = tmp_path / "out.mp4"
    film(path, speech(tmp_path, 0.2), 5)
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


@pytest.mark.parametrize("picture", [0, 3, 9, 10])
def test_a_film_whose_encoder_fails_midway_is_made_by_x264_and_says_so(
    picture: int, tmp_path: Path, breaks: Callable[[int | None], None]
) -> None:
    """At its first picture, in its midst, at its last one, and when it is to give the rest."""
    audio = speech(tmp_path, 0.4)
    want = encode(tmp_path / "want.mp4", audio, 10).read_bytes()
    breaks(picture)
    made, notes = film(tmp_path / "out.mp4", audio, 10)
    assert made == want, "nothing of the film that broke is in it"
    (said,) = notes
    assert "encoded by x264 from the start" in said
    assert "the device has gone" in said


def test_a_device_goes_on_encoding_until_it_has_lost_films_in_a_row(
    tmp_path: Path, breaks: Callable[[int | None], None], caplog: pytest.LogCaptureFixture
) -> None:
    audio = speech(tmp_path, 0.2)

    def lost(at: int | None) -> bool:
        breaks(at)
        return bool(film(tmp_path / "out.mp4", audio, 5)[1])

    assert [lost(at) for at in (2, 2, None, 2, 2)] == [True, True, False, True, True]
    assert nvenc.chosen("cuda"), "a film that came to its end between them counts"
    assert lost(2)
    assert not nvenc.chosen("cuda")
    assert not lost(2), "x264 from the beginning"
    allow(encoder="nvenc")
    assert not nvenc.chosen("cuda"), "demanded or not: jobs are not lost by it"
    assert "lost 3 in a row" in caplog.text


def test_films_that_are_lost_at_one_time_count_once() -> None:
    began = [losses.begin("cuda") for _ in range(8)]
    for each in began:
        losses.lose("cuda", each)
    assert losses.steady("cuda")


def test_errors_of_anything_but_the_encoder_end_the_film(
    tmp_path: Path, breaks: Callable[[int | None], None]
) -> None:
    breaks(None)
    spec = RenderSpec(tmp_path, tmp_path, tmp_path / "out.mp4", tmp_path, device="cuda")
    asked: list[str | None] = []

    def film(by: str | None) -> None:
        asked.append(by)
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        falling_back_to_x264(spec, film, [])
    assert asked == ["cuda"]


def test_a_job_whose_encoder_fails_midway_paints_once_more_from_what_it_prepared(
    tmp_path: Path, breaks: Callable[[int | None], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    use_weights_root(weights_root())
    allow(encoder="x264")
    want = make(tmp_path, "want", None)
    prepared: list[None] = []
    whole = VisemeEngine.prepare

    def prepare(*given: Any) -> Any:
        prepared.append(None)
        return whole(*given)

    monkeypatch.setattr(VisemeEngine, "prepare", prepare)
    allow(encoder="auto")
    # The job is the processors', but for its encoder: where there is no GPU, none can be asked for.
    monkeypatch.setattr(nvenc, "chosen", lambda _: True)
    breaks(3)
    made = make(tmp_path, "made", None)
    assert made.spec.output.read_bytes() == want.spec.output.read_bytes()
    (note,) = set(made.report.warnings) - set(want.report.warnings)
    assert "failed midway" in note
    assert made.report.quality == want.report.quality, "nothing is counted twice"
    assert len(prepared) == 1


def test_the_trial_finds_pictures_that_are_missing_or_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert nvenc._tried(x264.CODEC, x264.options(18, 640, 360)) is None
    monkeypatch.setattr(nvenc, "decoded", lambda film: decoded(film)[1:])
    assert nvenc._tried(x264.CODEC, x264.options(18, 640, 360)) == "5 of 6 pictures came back"
    monkeypatch.setattr(nvenc, "decoded", lambda film: decoded(film)[::-1])
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
    path = tmp_path / "out.mp4"
    film(path, speech(tmp_path, 0.4), 10)
    with av.open(str(path)) as made:
        assert sum(1 for _ in made.decode(video=0)) == 10
