"""CUDA as far as captured graphs need it, on paper: streams, events, pinned memory, graphs.

A graph records torch's operators while it is captured and repeats exactly those, on the same
memory, when it is replayed. So what a real graph would get wrong is wrong here too: a number that
was read on the host, an input that was not copied into the captured one, an output that is
overwritten while somebody still reads it. What is not played: that streams overlap.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class PaperStream:
    """Does what it is asked at once."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def synchronize(self) -> None:
        """There is nothing to wait for."""


@dataclass
class PaperEvent:
    """A mark that is always reached."""

    recorded: int = 0
    waits: int = 0

    def record(self, stream: PaperStream) -> None:
        self.recorded += 1

    def synchronize(self) -> None:
        self.waits += 1


@dataclass
class PaperGraph:
    """Operators with their arguments and the memory of their results."""

    steps: list[tuple[Any, Any, Any, list[Tensor]]] = field(default_factory=list)

    def replay(self) -> None:
        for func, args, kwargs, kept in self.steps:
            made = [leaf for leaf in tree_leaves(func(*args, **kwargs)) if isinstance(leaf, Tensor)]
            for old, new in zip(kept, made, strict=True):
                if old.data_ptr() != new.data_ptr():
                    old.copy_(new)


_READS = (torch.ops.aten.item.default, torch.ops.aten._local_scalar_dense.default)


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self, graph: PaperGraph) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._graph = graph

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in _READS:
            raise RuntimeError("a captured network reads a number on the host")
        made = func(*args, **(kwargs or {}))
        kept = [leaf for leaf in tree_leaves(made) if isinstance(leaf, Tensor)]
        self._graph.steps.append((func, args, kwargs or {}, kept))
        return made


@contextmanager
def _graph(graph: PaperGraph, **_: Any) -> Iterator[None]:
    with _Recorder(graph):
        yield


def _nothing(*_: Any, **__: Any) -> AbstractContextManager[None]:
    return nullcontext()


def install(patch: pytest.MonkeyPatch) -> None:
    """Let torch.cuda be on paper until the test ends."""
    empty = torch.empty

    def unpinned(*args: Any, pin_memory: bool = False, **more: Any) -> Tensor:
        return empty(*args, **more)

    patch.setattr(torch, "empty", unpinned)
    for name, paper in {
        "Stream": PaperStream,
        "Event": PaperEvent,
        "CUDAGraph": PaperGraph,
        "graph": _graph,
        "graph_pool_handle": lambda: None,
        "device": _nothing,
        "stream": _nothing,
        "empty_cache": lambda: None,
    }.items():
        patch.setattr(torch.cuda, name, paper)
