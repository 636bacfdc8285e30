"""torch's rules of devices, held at every operator: mixed devices, captures, copies and waits."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from tests.support import strict_streams
from tests.support.strict_streams import Block, current, here
from tests.support.strict_tensor import OnDevice

_aten: Any = torch.ops.aten
_OURS = str(Path(__file__).resolve().parents[2] / "pipeline")
_CPU = torch.device("cpu")
_READS = {_aten.item, _aten._local_scalar_dense, _aten.equal, _aten.is_nonzero}
_COUNTS = {_aten.nonzero, _aten.masked_select, _aten._unique2, _aten.unique_dim}
"""Whose results have as many rows as the numbers say: the host waits for that."""
_PRODUCTS = {_aten.mm, _aten.bmm, _aten.addmm, _aten.baddbmm, _aten.convolution, _aten.dot}
_INDEXED = {_aten.index, _aten.index_put, _aten.index_put_, _aten._index_put_impl_}


@dataclass
class StrictCuda:
    """The device, and what it was asked."""

    waits: Counter[str] = field(default_factory=Counter)
    """How often an operator let the host wait for it, by the line that asked and for what."""
    operators: int = 0
    _pinned: dict[int, Tensor] = field(default_factory=dict)
    """By the place of its memory; kept, so that no other tensor gets it."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def asleep(self) -> int:
        """How often a thread waited for an event, asleep."""
        return strict_streams.order.asleep

    @property
    def races(self) -> list[str]:
        """Memory that was freed while another stream might still have used it."""
        return strict_streams.order.races

    def run(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        """An operator, by the rules."""
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        there = [tensor for tensor in given if isinstance(tensor, OnDevice)]
        target = kwargs.get("device")
        if not there and (target is None or target.type != "cuda"):
            return self._on_host(func, args, kwargs)
        packet = func.overloadpacket
        # What consists of several goes by the rules one by one; this one would ask for cuDNN.
        if packet is not _aten.batch_norm and func._can_decompose():
            with Mode(self):
                return func.decompose(*args, **kwargs)
        self.operators += 1
        current().step += 1
        if packet is _aten._to_copy:
            return self._moved(func, args, kwargs)
        if packet is _aten.copy_:
            return self._copied(func, args)
        if target is None:
            self._check(func, packet, args, kwargs, given)
        written = _written(func, args, kwargs)
        for tensor in there:
            tensor.block.touch(any(tensor is each for each in written), _line())
        made = self._done(func, args, kwargs)
        if written:
            return None if not func._schema.returns else _one(written)
        if packet in _READS:
            return made
        return tree_map(partial(_there, there), made)

    def _done(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        """What the host makes of it; noted while a graph is captured."""
        args, kwargs = tree_map(_held, args), tree_map(_held, kwargs)
        if kwargs.get("device") is not None:
            kwargs["device"] = _CPU
        made = func(*args, **kwargs)
        graph: StrictGraph | None = getattr(here, "graph", None)
        if graph is not None:
            kept = [leaf for leaf in tree_leaves(made) if isinstance(leaf, Tensor)]
            graph.steps.append((func, args, kwargs, kept))
        return made

    def _on_host(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        if not kwargs.get("pin_memory"):
            return func(*args, **kwargs)
        made = func(*args, **{**kwargs, "pin_memory": False})
        self._pinned[made.untyped_storage().data_ptr()] = made
        return made

    def _is_pinned(self, tensor: Tensor) -> bool:
        return tensor.untyped_storage().data_ptr() in self._pinned

    def _moved(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        (source,) = args
        target = kwargs.get("device")
        home = isinstance(source, OnDevice)
        goes = home if target is None else target.type == "cuda"
        if home:
            source.block.touch(False, _line())
        if home != goes:
            self._travels(source, None, bool(kwargs.get("non_blocking")))
        made = self._done(func, args, {**kwargs, "non_blocking": False})
        return _there([source] if home else [], made) if goes else made

    def _copied(self, func: Any, args: Any) -> Any:
        into, source = args[:2]
        for tensor in (source, into):
            if isinstance(tensor, OnDevice):
                tensor.block.touch(tensor is into, _line())
        if isinstance(into, OnDevice) != isinstance(source, OnDevice):
            self._travels(source, into, bool(args[2:] and args[2]))
        self._done(func, (into, source), {})
        return into

    def _travels(self, source: Tensor, into: Tensor | None, goes_on: bool) -> None:
        """A copy between host and device."""
        back = isinstance(source, OnDevice)
        host = into if back else source
        if not source.numel():
            return
        pinned = host is not None and self._is_pinned(host)
        if back and goes_on and not pinned:
            raise RuntimeError("a copy to pageable memory that nobody waits for")
        if not goes_on or not pinned:
            self._wait("copy to the host" if back else "copy from the host")

    def _check(
        self, func: Any, packet: Any, args: Any, kwargs: dict[str, Any], given: Sequence[Tensor]
    ) -> None:
        if packet in _READS:
            self._wait("number")
        if packet in _COUNTS:
            self._wait("count")
        if packet in _PRODUCTS and not given[0].is_floating_point():
            raise RuntimeError(f'"{func}" not implemented for {given[0].dtype} on CUDA')
        allowed = self._indices(args[0], args[1]) if packet in _INDEXED else []
        for n, tensor in enumerate(given):
            if isinstance(tensor, OnDevice) or any(tensor is each for each in allowed):
                continue
            if tensor.ndim or (n == 0 and _written(func, args, kwargs)):
                told = ", ".join(f"{each.device.type} {list(each.shape)}" for each in given)
                raise RuntimeError(
                    f"Expected all tensors to be on the same device, but {func} got {told}"
                )

    def _indices(self, source: Tensor, indices: Any) -> list[Tensor]:
        """Those on the host, from which torch takes them, too, and waits."""
        allowed = []
        for index in indices:
            if index is None:
                continue
            if index.dtype in (torch.bool, torch.uint8) and index.ndim:
                self._wait("count")
            if not isinstance(index, OnDevice):
                allowed.append(index)
                if isinstance(source, OnDevice) and index.numel():
                    self._wait("indices")
        return allowed

    def _wait(self, what: str) -> None:
        line = _line()
        if getattr(here, "graph", None) is not None:
            raise RuntimeError(f"{line}: not permitted when the stream is capturing: {what}")
        with self._lock:
            self.waits[f"{line}: {what}"] += 1
        current().synchronize()


@dataclass
class StrictGraph:
    """Operators with their arguments and the memory of their results."""

    steps: list[tuple[Any, Any, Any, list[Tensor]]] = field(default_factory=list)

    def reset(self) -> None:
        """Forget all."""
        self.steps.clear()

    def replay(self) -> None:
        current().step += 1
        with torch._C._DisableTorchDispatch():
            for func, args, kwargs, kept in self.steps:
                made = func(*args, **kwargs)
                for old, new in zip(kept, _tensors(made), strict=True):
                    if old.data_ptr() != new.data_ptr():
                        old.copy_(new)


class Mode(TorchDispatchMode):
    def __init__(self, device: StrictCuda) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._device = device

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self._device.run(func, args, kwargs or {})


def _there(given: Sequence[OnDevice], leaf: Any) -> Any:
    """A result on the device: in the memory of what was given, or in a block of its own.

    Memory is not known by its place alone: another thread may just have given it back.
    """
    if not isinstance(leaf, Tensor):
        return leaf
    place = leaf.untyped_storage().data_ptr()
    same = (each for each in given if place and each.held.untyped_storage().data_ptr() == place)
    source = next(same, None)
    return OnDevice(leaf, Block(_line()) if source is None else source.block)


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor)]


def _held(leaf: Any) -> Any:
    return leaf.held if isinstance(leaf, OnDevice) else leaf


def _one(written: list[Any]) -> Any:
    return written[0] if len(written) == 1 else tuple(written)


def _written(func: Any, args: Any, kwargs: dict[str, Any]) -> list[Any]:
    """The arguments that an operator writes to, which are what it returns."""
    found: list[Any] = []
    for n, argument in enumerate(func._schema.arguments):
        info = argument.alias_info
        if info is not None and info.is_write:
            given = args[n] if n < len(args) else kwargs.get(argument.name)
            found += given if isinstance(given, list | tuple) else [given]
    return found


def _line() -> str:
    """The innermost line of ours."""
    frame: Any = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith(_OURS):
            return f"{name[len(_OURS) + 1 :]}:{frame.f_lineno} {frame.f_code.co_name}"
        frame = frame.f_back
    return "elsewhere"
