"""CUDA on paper, as far as graphs and copies need it: streams, events, pinned memory, graphs.

A graph records torch's operators while it is captured and repeats exactly those, on the same
memory, when it is replayed. A stream is as late as it may be: what is asked of it happens when
somebody waits for it, and until then its results are rubbish. So what a real device would get wrong
is wrong here too: a number that was read on the host, an input that was not copied into the
captured one, an output or a host buffer that is overwritten while somebody still reads it, a result
that is read before it was waited for.

A capture that fails leaves what torch 2.13 leaves (`CUDAGraph::capture_end`, `torch.cuda.graph`):
where the driver gave it up (`GivenUp`), its end fails, too, the allocator goes on recording, and
the thread stays on the capturing stream.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from tests.support.paper_memory import Device, GivenUp, OnPaper, Pools
from tests.support.paper_streams import Host, PaperEvent, PaperStream, current, here

_READS = (torch.ops.aten.item.default, torch.ops.aten._local_scalar_dense.default)


@dataclass
class PaperGraph:
    """Operators with their arguments and the memory of their results."""

    steps: list[tuple[Any, Any, Any, list[Tensor]]] = field(default_factory=list)

    def reset(self) -> None:
        """Forget all."""
        self.steps.clear()

    def replay(self) -> None:
        current().ask(self._replay)

    def _replay(self) -> None:
        for func, args, kwargs, kept in self.steps:
            for old, new in zip(kept, _tensors(func(*args, **kwargs)), strict=True):
                if old.data_ptr() != new.data_ptr():
                    old.copy_(new)


pools = Pools()
"""Of the test that runs."""


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self, graph: PaperGraph, device: Device) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._graph = graph
        self._device = device

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in _READS:
            raise RuntimeError("a captured network reads a number on the host")
        made = func(*args, **(kwargs or {}))
        kept = _tensors(made)
        self._device.take(kept)
        self._graph.steps.append((func, args, kwargs or {}, kept))
        return made


class _Late(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """What touches the device's memory, or makes some, happens on the stream; the rest now."""

    def __init__(self, stream: PaperStream, device: Device) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._stream = stream
        self._device = device

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        given = _tensors((args, kwargs))
        if _names_the_device(args, kwargs):
            return self._brought(func, args, kwargs)
        if given and not any(map(self._device.has, given)):
            return func(*args, **kwargs)
        if func in _READS:
            self._stream.synchronize()
            return func(*args, **kwargs)
        infos = [argument.alias_info for argument in func._schema.arguments]
        if any(info is not None and info.is_write for info in infos):
            self._stream.ask(lambda: func(*args, **kwargs))
            return kwargs.get("out", args[0]) if func._schema.returns else None
        made = func(*args, **kwargs)
        kept = _tensors(made)
        if all(map(self._device.has, kept)):
            return made  # a view
        self._device.take(kept)
        for leaf in kept:
            leaf.fill_(float("nan") if leaf.is_floating_point() else 113)

        def again() -> None:
            for old, new in zip(kept, _tensors(func(*args, **kwargs)), strict=True):
                old.copy_(new)

        self._stream.ask(again)
        return made

    def _brought(self, func: Any, args: Any, kwargs: Any) -> Tensor:
        """What is made on the device; what is copied there is rubbish until the stream is there."""
        named = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        host = {name: _on_host(value) for name, value in kwargs.items()}
        made: Tensor = func(*tree_map(_on_host, args), **host)
        if named and self._device.has(named[0]):
            return made  # it is there
        there: Tensor = (made.clone() if named else made).as_subclass(OnPaper)
        self._device.take([there])
        if named and not kwargs.get("non_blocking"):
            self._stream.stand_by()
        if named:
            there.fill_(113)
            self._stream.ask(lambda: there.copy_(named[0]))
        return there


def _names_the_device(args: Any, kwargs: Any) -> bool:
    named = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.device)]
    return any(device.type == "cuda" for device in named)


def _on_host(leaf: Any) -> Any:
    cuda = isinstance(leaf, torch.device) and leaf.type == "cuda"
    return torch.device("cpu") if cuda else leaf


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def _nothing(*_: Any, **__: Any) -> AbstractContextManager[None]:
    return nullcontext()


class _Cuda:
    """What torch.cuda does here: what needs to know the device, or this thread's streams."""

    def __init__(self) -> None:
        self._device = Device()
        self._empty = torch.empty

    def empty(self, *args: Any, pin_memory: bool = False, **more: Any) -> Tensor:
        """`torch.empty`, with memory of the host where it is to be pinned."""
        if not pin_memory and "device" in more:
            return self._empty(*args, **more)
        with torch._C._DisableTorchDispatch():  # memory of the host, whatever the stream
            return self._empty(*args, **more)

    def brought(self, tensor: Tensor) -> Tensor:
        """The tensor on the device."""
        there = tensor.clone().as_subclass(OnPaper)
        self._device.take([there])
        return there

    @contextmanager
    def stream(self, entered: PaperStream) -> Iterator[None]:
        """What is asked of the device inside is asked of a stream."""
        before = getattr(here, "streams", [])
        here.streams = [*before, entered]
        try:
            with _Late(entered, self._device):
                yield
        finally:
            here.streams = before

    def set_stream(self, now: PaperStream) -> None:
        """Stay on a stream from now on."""
        here.streams = [] if isinstance(now, Host) else [now]

    @contextmanager
    def graph(
        self, captured: PaperGraph, pool: Any, stream: PaperStream, capture_error_mode: str
    ) -> Iterator[None]:
        """Capture what is asked inside; where that fails, leave what torch leaves."""
        assert capture_error_mode == "thread_local", "what other threads do would break it"
        pools.begin(pool)
        before = getattr(here, "streams", [])
        here.streams, here.captures = [*before, stream], True
        try:
            with _Recorder(captured, self._device):
                yield
        except GivenUp:
            here.captures = False
            pools.give_up(pool)
            raise RuntimeError("CUDA error: failed due to a previous error during capture")  # noqa: B904 - as torch's capture_end
        except BaseException:
            pools.end(0, pool)
            pools.release(0, pool)
            here.streams, here.captures = before, False
            raise
        pools.end(0, pool)
        here.streams, here.captures = before, False


def install(patch: pytest.MonkeyPatch) -> Callable[[Tensor], Tensor]:
    """Let torch.cuda be on paper until the test ends.

    Returns:
        What brings a tensor to the device.
    """
    cuda = _Cuda()
    patch.setattr(f"{__name__}.pools", Pools())
    patch.setattr("pipeline.batching.cuda._idle", {})  # its streams are no other test's
    patch.setattr(torch, "empty", cuda.empty)
    patch.setattr(Tensor, "record_stream", lambda tensor, stream: stream.kept.append(tensor))
    for name, paper in {
        "Stream": PaperStream,
        "Event": PaperEvent,
        "CUDAGraph": PaperGraph,
        "graph": cuda.graph,
        "graph_pool_handle": pools.handle,
        "is_current_stream_capturing": lambda: getattr(here, "captures", False),
        "current_device": lambda: 0,
        "set_stream": cuda.set_stream,
        "synchronize": pools.wait,
        "device": _nothing,
        "stream": cuda.stream,
        "current_stream": lambda *_: current(),
        "empty_cache": pools.give_back,
        "_lazy_init": lambda: None,
    }.items():
        patch.setattr(torch.cuda, name, paper)
    patch.setattr(torch._C, "_cuda_endAllocateToPool", pools.end)
    patch.setattr(torch._C, "_cuda_releasePool", pools.release)
    return cuda.brought
