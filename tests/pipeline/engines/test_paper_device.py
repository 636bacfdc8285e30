"""Painting into frames with CUDA on paper: its streams are as late as they may be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from pipeline.batching.cuda import new_stream, on_own_stream, settle
from pipeline.engines import windows
from pipeline.engines.neural.compose import compose
from pipeline.engines.neural.masks import soft_masks
from pipeline.types import Frame
from tests.pipeline.engines import synthetic
from tests.pipeline.engines.neural.given import boxed_meshes, placed_faces
from tests.support import paper_cuda

Bring = Callable[[Tensor], Tensor]
Shape = tuple[int, ...]


@pytest.fixture
def bring(monkeypatch: pytest.MonkeyPatch) -> Bring:
    return paper_cuda.install(monkeypatch)


@pytest.fixture
def pinned(bring: Bring, monkeypatch: pytest.MonkeyPatch) -> list[Shape]:
    """Shapes of page-locked memory that was asked for."""
    del bring
    shapes: list[Shape] = []
    empty = torch.empty

    def noted(*args: object, pin_memory: bool = False, **more: object) -> Tensor:
        if pin_memory:
            shapes.append(tuple(args[0]))  # type: ignore[arg-type]
        return empty(*args, pin_memory=pin_memory, **more)  # type: ignore[call-overload,no-any-return]

    monkeypatch.setattr(torch, "empty", noted)
    return shapes


def _samples(frames: list[Frame]) -> list[Tensor]:
    return [plane for frame in frames for plane in (frame.y, frame.u, frame.v)]


def test_what_comes_back_from_a_device_was_waited_for(bring: Bring, pinned: list[Shape]) -> None:
    want = [torch.arange(12, dtype=torch.uint8).view(1, 3, 4), torch.ones(1, 2, 2).byte()]
    there = [bring(plane) for plane in want]
    with torch.inference_mode(), on_own_stream("cuda"):
        for plane in there:
            plane += 1
        held = windows.to_host(there)
        own: Any = torch.cuda.current_stream()
        assert own.busy_waits == 0, "a processor would wait instead of encoding"
        assert [plane.device.type for plane in held] == ["cpu", "cpu"]
    assert all(torch.equal(a, b + 1) for a, b in zip(held, want, strict=True))
    assert pinned == [(1, 3, 4), (1, 2, 2)]


def test_the_host_asks_for_no_copies_where_there_is_no_device(pinned: list[Shape]) -> None:
    planes = [torch.zeros(1, 2, 2, dtype=torch.uint8)]
    assert windows.to_host(planes)[0] is planes[0]
    assert pinned == []


def test_a_device_mixes_the_bytes_of_the_host_and_nothing_is_read_too_early(
    bring: Bring, pinned: list[Shape]
) -> None:
    placed, faces, masks = placed_faces()
    want = compose(placed, faces, masks, synthetic.COLOR)
    stream = new_stream("cuda")
    with torch.inference_mode(), torch.cuda.stream(stream):
        made = compose(placed, bring(faces), bring(masks), synthetic.COLOR)
    for found, expected in zip(_samples(made), _samples(want), strict=True):
        assert torch.equal(found, expected)
    assert len(pinned) >= 9, "windows, taps and inner boxes go, and windows come, page-locked"


def test_the_host_goes_on_while_masks_and_strengths_travel_behind_a_batch(bring: Bring) -> None:
    placed, faces, masks = placed_faces()
    placed = [one._replace(strength=0.5) for one in placed]
    there, busy = bring(faces), bring(torch.zeros(2))
    with torch.inference_mode(), on_own_stream("cuda"):
        own: Any = torch.cuda.current_stream()
        busy += 1  # what came before on the stream, such as the wait for a batch
        compose(placed, there, windows.brought(masks, there.device), synthetic.COLOR)
        assert own.busy_waits == 0
        masks.to(there.device)
        busy += 1
        masks.to(there.device)
        assert own.busy_waits == 1, "what `brought` is for"


def test_masks_are_drawn_on_a_device_without_a_wait_and_with_the_bytes_of_the_host(
    bring: Bring,
) -> None:
    meshes, boxes = boxed_meshes()
    want = soft_masks(meshes, boxes)
    assert 0 < int((want > 0).sum()) < want.numel()
    with torch.inference_mode(), on_own_stream("cuda"):
        own: Any = torch.cuda.current_stream()
        made = soft_masks(windows.brought(meshes, torch.device("cuda")), boxes)
        assert own.busy_waits == 0
        settle("cuda")
    assert torch.equal(made.as_subclass(Tensor), want)


def test_settling_waits_for_ones_own_stream_and_for_no_other(bring: Bring) -> None:
    mine, other = bring(torch.zeros(2)), bring(torch.zeros(2))
    with torch.inference_mode():
        with torch.cuda.stream(new_stream("cuda")):
            other += 1
        with on_own_stream("cuda"):
            mine += 1
            assert mine.as_subclass(Tensor).tolist() == [0, 0], "the paper device is late"
            settle("cuda")
    assert mine.as_subclass(Tensor).tolist() == [1, 1]
    assert other.as_subclass(Tensor).tolist() == [0, 0]


def test_the_cpu_has_no_streams_to_wait_for(bring: Bring) -> None:
    del bring
    with on_own_stream("cpu") as stream:
        settle("cpu")
    assert stream is None
