"""The choice of a decoder, with and without a device that decodes."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
import torch
from av import VideoFrame
from av.codec.hwaccel import HWAccel
from av.container import InputContainer

from pipeline.errors import InputUnreadable
from pipeline.hardware import allow
from pipeline.reading import nvdec
from pipeline.reading.container import open_media
from pipeline.reading.decode import FrameReader, _Source
from pipeline.reading.probe import probe_video
from pipeline.reading.upright import Orientation, Upright, samples
from pipeline.types import Color, Frame, Limits, VideoFacts
from schemas.codes import Stage
from schemas.request import RenderOptions
from tests.support.media import Clip, write_clip

FRAMES = 12


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> VideoFacts:
    path = tmp_path_factory.mktemp("nvdec") / "clip.mp4"
    write_clip(path, Clip(frames=FRAMES, width=192, height=160))
    return probe_video(path, Limits(), RenderOptions())


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    nvdec._way.cache_clear()
    yield
    nvdec._way.cache_clear()
    allow(nvdec=True)


def _accel(device: str, facts: VideoFacts) -> HWAccel:
    del device, facts
    return HWAccel("cuda", allow_software_fallback=False)


def _same(found: list[Frame], want: list[Frame], levels: int = 0) -> bool:
    return len(found) == len(want) and all(
        a.index == b.index
        and all(
            int((x.int() - y.int()).abs().max()) <= levels
            for x, y in ((a.y, b.y), (a.u, b.u), (a.v, b.v))
        )
        for a, b in zip(found, want, strict=True)
    )


def test_a_decoder_that_will_not_open_is_replaced_and_said_once(
    video: VideoFacts, caplog: pytest.LogCaptureFixture
) -> None:
    if torch.cuda.is_available():
        pytest.skip("a CUDA device would open it")
    want = list(FrameReader(video, 1).read(range(FRAMES)))
    reader = FrameReader(video, 1, device="cuda", accelerated=_only_on_cuda)
    assert _same(list(reader.read(range(FRAMES))), want)
    assert _same(list(reader.read(reversed(range(FRAMES)))), want[::-1])
    assert caplog.text.count("decoded on the processors from here on") == 1


def _only_on_cuda(device: str, facts: VideoFacts) -> HWAccel | None:
    return _accel(device, facts) if device == "cuda" else None


def _opened(device: str, facts: VideoFacts) -> Any:
    """Stands for a device whose decoder opens."""
    del facts
    return object() if device == "cuda" else None


def _opens_on_the_processors(patch: pytest.MonkeyPatch) -> None:
    def opened(path: Path, limits: Limits, stage: Stage, accel: object = None) -> Any:
        del accel
        return open_media(path, limits, stage)

    patch.setattr("pipeline.reading.decode.open_media", opened)


@pytest.mark.parametrize(
    "error",
    [
        InputUnreadable("the unit has gone", stage=Stage.DECODE),
        av.error.ExternalError(0x20545845, "CUDA_ERROR_UNKNOWN"),
        av.error.MemoryError(12, "cuvidCreateDecoder failed"),
        av.error.NotImplementedError(38, "no such surface"),
        RuntimeError("CUDA error: unspecified launch failure"),
        ValueError("format p210le is not known"),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("at", [0, 5, FRAMES - 1])
def test_a_decoder_that_fails_midway_loses_and_repeats_no_frame(
    error: Exception, at: int, video: VideoFacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    want = list(FrameReader(video, 1).read(range(FRAMES)))
    whole, asked = _Source.planes, []

    def planes(source: _Source, index: int, ahead: int | None) -> Any:
        asked.append(index)
        if len(asked) == at + 1:
            raise error
        return whole(source, index, ahead)

    _opens_on_the_processors(monkeypatch)
    monkeypatch.setattr(_Source, "planes", planes)
    reader = FrameReader(video, 1, device="cuda", accelerated=_opened)
    assert _same(list(reader.read(range(FRAMES))), want)
    assert asked == [*range(at + 1), *range(at, FRAMES)]
    assert _same(list(reader.read(range(FRAMES))), want), "and so the next time"
    assert asked[len(asked) - FRAMES :] == list(range(FRAMES)), "without another try"


def test_a_codec_that_no_device_knows_is_decoded_on_the_processors(tmp_path: Path) -> None:
    path = tmp_path / "clip.mkv"
    write_clip(path, Clip(frames=4, width=192, height=160, codec="ffv1"))
    facts = probe_video(path, Limits(), RenderOptions())
    want = list(FrameReader(facts, 1).read(range(4)))
    reader = FrameReader(facts, 1, device="cuda", accelerated=_only_on_cuda)
    assert _same(list(reader.read(range(4))), want)


def test_a_device_without_memory_for_a_decoder_fails_no_job(
    video: VideoFacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    want = list(FrameReader(video, 1).read(range(FRAMES)))
    opened = av.open

    def full(*where: Any, hwaccel: object = None, **how: Any) -> Any:
        if hwaccel is not None:
            raise MemoryError
        return opened(*where, **how)

    monkeypatch.setattr("pipeline.reading.container.av.open", full)
    reader = FrameReader(video, 1, device="cuda", accelerated=_opened)
    assert _same(list(reader.read(range(FRAMES))), want)


def test_a_device_that_fails_on_a_picture_hands_it_over_instead_of_holding_the_last(
    video: VideoFacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    want = list(FrameReader(video, 1).read(range(FRAMES)))
    kept = video.path.read_bytes()
    broken = bytearray(kept)

    def open_broken(
        path: Path, limits: Limits, stage: Stage, accel: object = None
    ) -> AbstractContextManager[InputContainer]:
        """The device sees a damaged picture where the processors see none."""
        video.path.write_bytes(broken if accel is not None else kept)
        return open_media(path, limits, stage)

    with open_media(video.path, Limits(), Stage.DECODE) as container:
        sizes = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    start, size = sizes[FRAMES // 2]
    assert start is not None
    broken[start : start + size] = bytes(255 for _ in range(size))
    monkeypatch.setattr("pipeline.reading.decode.open_media", open_broken)
    reader = FrameReader(video, 1, device="cuda", accelerated=_opened)
    assert _same(list(reader.read(range(FRAMES))), want)


def test_a_device_is_kept_through_seeks_and_to_the_end_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "clip.mp4"
    write_clip(path, Clip(frames=40, options={"bf": "2"}))
    facts = probe_video(path, Limits(), RenderOptions())
    order = [*range(40), *range(38, -1, -1), 7, 20, 39]
    want = list(FrameReader(facts, 1).read(order))
    _opens_on_the_processors(monkeypatch)
    reader = FrameReader(facts, 1, device="cuda", accelerated=_opened)
    assert _same(list(reader.read(order)), want)
    assert reader._device == "cuda"


@pytest.mark.parametrize(
    "turn", [Orientation(), Orientation(True, True, False), Orientation(False, True, True)]
)
def test_a_devices_pictures_are_the_same_planes(turn: Orientation) -> None:
    width, height = 96, 64
    frame = VideoFrame(width, height, "yuv420p")
    generator = torch.Generator().manual_seed(3)
    for plane, size in zip(frame.planes, ((64, 96), (32, 48), (32, 48)), strict=True):
        samples(plane, *size).copy_(torch.randint(0, 256, size, generator=generator))
    both = frame.reformat(format="nv12")
    assert both.format.name == "nv12"
    size = (height, width) if turn.transpose else (width, height)
    upright = Upright(*size, Color(1, False, 1, 1), turn)
    for got, want in zip(upright.planes(both), upright.planes(frame), strict=True):
        assert torch.equal(got, want)


@pytest.mark.parametrize(
    ("coded", "surface"),
    [("yuv420p10le", "p010le"), ("yuv420p12le", "p016le"), ("yuv444p10le", "yuv444p16le")],
)
def test_a_devices_deep_pictures_are_the_same_up_to_one_level(coded: str, surface: str) -> None:
    frame = VideoFrame(96, 64, coded)
    bits = int(coded.rpartition("p")[2].removesuffix("le"))
    for plane in frame.planes:
        drawn = torch.randint(0, 2**bits, (plane.buffer_size // 2,), dtype=torch.int16)
        plane.update(drawn.numpy().tobytes())
    found, want = (
        Upright(96, 64, Color(1, False, 1, 1), Orientation()).planes(each)
        for each in (frame.reformat(format=surface), frame)
    )
    assert all(int((a.int() - b.int()).abs().max()) <= 1 for a, b in zip(found, want, strict=True))


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
    monkeypatch.setattr(nvdec, "_made", _accel)
    assert nvdec.accelerator("cuda", video) is not None
    assert nvdec.accelerator("cpu", video) is None
    for other in ({"codec": "prores"}, {"still": True}, {"width": 96}, {"height": 8192}):
        assert nvdec.accelerator("cuda", replace(video, **other)) is None
    allow(nvdec=False)
    assert nvdec.accelerator("cuda", video) is None


@pytest.mark.gpu
@pytest.mark.parametrize("rotation", [0, 90])
def test_the_device_decodes_the_pictures_of_the_processors(tmp_path: Path, rotation: int) -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    if nvdec._way("cuda") is None:
        pytest.skip("this device or this build does not decode")
    path = tmp_path / "clip.mp4"
    options = {"bf": "2"}
    write_clip(path, Clip(frames=40, fps=Fraction(25), rotation=rotation, options=options))
    facts = replace(probe_video(path, Limits(), RenderOptions()))
    order = [*range(40), *range(38, -1, -1), 7, 20, 39]
    want = list(FrameReader(facts, 1).read(order))
    device = FrameReader(facts, 1, device="cuda", accelerated=lambda d, v: nvdec._made(d, {}))
    assert _same(list(device.read(order)), want, levels=1)
