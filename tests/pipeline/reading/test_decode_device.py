"""A device that decodes loses no frame: what it cannot do the processors take over."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
import torch
from av.codec.hwaccel import HWAccel
from av.container import InputContainer

from pipeline.errors import InputUnreadable
from pipeline.reading import nvdec
from pipeline.reading.container import open_media
from pipeline.reading.decode import FrameReader, _Source
from pipeline.reading.probe import probe_video
from pipeline.types import Frame, Limits, VideoFacts
from schemas.codes import Stage
from schemas.request import RenderOptions
from tests.pipeline.reading.devices import FRAMES, device_accel
from tests.support.media import Clip, write_clip


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
    return device_accel(device, facts) if device == "cuda" else None


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
