"""The choice of a device that decodes."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch

from pipeline.hardware import allow
from pipeline.reading import nvdec
from pipeline.types import VideoFacts
from tests.pipeline.reading.devices import device_accel


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    nvdec._way.cache_clear()
    yield
    nvdec._way.cache_clear()
    allow(nvdec=True)


def test_a_device_without_memory_for_a_job_leaves_its_film_to_the_processors(
    video: VideoFacts, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(device: str, options: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(nvdec, "_way", lambda device: {})
    monkeypatch.setattr(nvdec, "_made", full)
    assert nvdec.accelerator("cuda", video) is None
    assert "CUDA out of memory" in caplog.text


def test_a_device_is_chosen_when_its_pictures_are_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvdec, "_made", lambda device, options: None)
    assert nvdec._way("cuda") == nvdec._WAYS[0]


def test_the_next_way_is_tried_and_a_wrong_picture_is_no_way(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tried: list[dict[str, object]] = []

    def second(device: str, options: dict[str, object]) -> None:
        del device
        tried.append(options)
        if len(tried) == 1:
            raise OSError("no context")

    monkeypatch.setattr(nvdec, "_made", second)
    assert nvdec._way("cuda:1") == nvdec._WAYS[1]
    monkeypatch.setattr(nvdec, "same", lambda found, want: False)
    with caplog.at_level(logging.INFO, "pipeline.reading.nvdec"):
        assert nvdec._way("cuda:2") is None
        assert nvdec._way("cuda:2") is None
    assert caplog.text.count("on the processors") == 1


@pytest.mark.parametrize(("device", "index"), [("cuda", 0), ("cuda:3", 3)])
def test_the_jobs_own_device_decodes_in_its_context_and_never_software(
    device: str, index: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def accel(kind: str, number: int, **how: Any) -> str:
        asked.append((kind, number, how))
        return "opened"

    monkeypatch.setattr(nvdec, "HWAccel", accel)
    monkeypatch.setattr(torch, "empty", lambda *size, device: asked.append((size, device)))
    made: Any = nvdec._made(device, {"current_ctx": "1"})
    assert made == "opened"
    context, opened = asked
    assert context == ((1,), device), "torch's context comes first, since it is to be shared"
    how = {"allow_software_fallback": False, "options": {"current_ctx": "1"}}
    assert opened == ("cuda", index, how)


def test_a_device_that_is_not_there_is_tried_and_its_own_words_are_logged_once(
    video: VideoFacts, caplog: pytest.LogCaptureFixture
) -> None:
    if torch.cuda.is_available():
        pytest.skip("a CUDA device might decode")
    with caplog.at_level(logging.INFO, "pipeline.reading.nvdec"):
        assert nvdec.accelerator("cuda", video) is None
        assert nvdec.accelerator("cuda", video) is None
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.startswith("videos are decoded on the processors: cuda does not (")
    assert "NVIDIA" in said or "CUDA" in said


def test_pictures_that_differ_by_two_levels_or_are_missing_are_others() -> None:
    one = [torch.full((4, 4), 100, dtype=torch.uint8)]
    assert nvdec.same(one, [one[0] + 1])
    assert not nvdec.same(one, [one[0] + 2])
    assert not nvdec.same([], one)


def test_only_what_units_decode_is_given_to_them(
    video: VideoFacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nvdec, "_way", lambda device: {})
    monkeypatch.setattr(nvdec, "_made", device_accel)
    assert nvdec.accelerator("cuda", video) is not None
    assert nvdec.accelerator("cpu", video) is None
    for other in ({"codec": "prores"}, {"still": True}, {"width": 96}, {"height": 8192}):
        assert nvdec.accelerator("cuda", replace(video, **other)) is None
    allow(nvdec=False)
    assert nvdec.accelerator("cuda", video) is None
