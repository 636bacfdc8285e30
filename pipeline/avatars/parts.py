"""Objects as named tensors and facts, and back, led by the annotations of their dataclasses.

A field that is added to a class is kept without a word about it here; one of a kind that is not
known raises, so that nothing is left out in silence.
"""

from __future__ import annotations

import hashlib
import math
import types
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from fractions import Fraction
from functools import cache
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import torch
from torch import Tensor

from pipeline.rows import RowFile, bytes_of

_ON_DEVICE = "device"
"""Stands in the facts for a tensor that the engine had on its device."""
T = TypeVar("T")


class Unfit(ValueError):
    """Parts that are not those of the class that was asked for."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What an object consists of."""

    tensors: dict[str, Tensor] = field(default_factory=dict)
    """Contiguous, in host memory or mapped from a file."""
    rows: dict[str, RowFile] = field(default_factory=dict)
    """What grows with the reference, in files."""
    facts: dict[str, Any] = field(default_factory=dict)
    """JSON types."""

    def shapes(self) -> dict[str, tuple[torch.dtype, tuple[int, ...]]]:
        """Types and shapes of all tensors, rows among them, by name in order."""
        found = {name: (each.dtype, tuple(each.shape)) for name, each in self.tensors.items()}
        found |= {name: (each.dtype, (len(each), *each.shape)) for name, each in self.rows.items()}
        return dict(sorted(found.items()))

    @property
    def size(self) -> int:
        """Bytes of all tensors."""
        return sum(dtype.itemsize * math.prod(shape) for dtype, shape in self.shapes().values())

    def blocks(self, name: str) -> Iterator[memoryview]:
        """The bytes of one of them, some at a time."""
        for tensor in self.rows[name].chunks() if name in self.rows else [self.tensors[name]]:
            if tensor.numel():
                yield bytes_of(tensor)

    def digest(self) -> str:
        """SHA-256 over names, types, shapes and bytes."""
        found = hashlib.sha256()
        for name, (dtype, shape) in self.shapes().items():
            found.update(f"{name}|{dtype}|{shape}|".encode())
            for block in self.blocks(name):
                found.update(block)
        return found.hexdigest()


def rows_of(
    parts: Parts, name: str, count: int, shape: tuple[int, ...], dtype: torch.dtype
) -> RowFile:
    """Rows that an avatar is to have.

    Raises:
        Unfit: they are not there, or others.
    """
    rows = parts.rows.get(name)
    if rows is None or len(rows) != count:
        raise Unfit(f"{name} of other frames than the boxes")
    if rows.shape != shape or rows.dtype != dtype:
        raise Unfit(f"{name} {rows.shape} {rows.dtype}, not {shape} {dtype}")
    return rows


def pack(value: Any, skip: Collection[str] = ()) -> Parts:
    """Parts of a dataclass of tensors, rows, dataclasses, scalars, fractions, tuples or None.

    Raises:
        TypeError: a field of another kind; names it.
    """
    parts = Parts()
    _pack_fields("", value, parts, skip)
    return parts


def unpack(kind: type[T], parts: Parts, device: str, given: Mapping[str, Any] | None = None) -> T:
    """The object again.

    Args:
        device: where tensors go that were not in host memory.
        given: values of the fields that `pack` skipped.

    Raises:
        Unfit: a field is missing, or of another type.
    """
    return _unpack_fields("", kind, parts, device, given or {})


def _pack_fields(prefix: str, value: Any, parts: Parts, skip: Collection[str] = ()) -> None:
    for each in fields(value):
        if each.name not in skip:
            _pack(prefix + each.name, getattr(value, each.name), parts)


def _pack(path: str, value: Any, parts: Parts) -> None:
    match value:
        case Tensor():
            if value.device.type != "cpu":
                parts.facts[path] = _ON_DEVICE
            parts.tensors[path] = value.detach().cpu().contiguous()
        case RowFile():
            parts.rows[path] = value
        case None | bool() | int() | str():
            parts.facts[path] = value
        case float() if math.isfinite(value):
            parts.facts[path] = value
        case Fraction():
            parts.facts[path] = str(value)
        case tuple() if all(isinstance(item, bool | int | str) for item in value):
            parts.facts[path] = list(value)
        case _ if is_dataclass(value):
            _pack_fields(f"{path}.", value, parts)
        case _:
            raise TypeError(f"{path}: {type(value).__name__} {value!r:.80} cannot be kept")


@cache
def _hints(kind: Any) -> dict[str, Any]:
    """Types of a class's fields, which Python compiles from their words each time it is asked."""
    return get_type_hints(kind)


def _unpack_fields(
    prefix: str, kind: type[T], parts: Parts, device: str, given: Mapping[str, Any]
) -> T:
    hints = _hints(cast(Any, kind))
    values: dict[str, Any] = dict(given)
    for each in fields(kind):  # type: ignore[arg-type]
        if each.name not in given:
            values[each.name] = _unpack(prefix + each.name, hints[each.name], parts, device)
    return kind(**values)


def _unpack(path: str, hint: Any, parts: Parts, device: str) -> Any:
    hint = _present(path, hint, parts)
    if hint is type(None):
        return None
    if hint is Tensor:
        if path not in parts.tensors:
            raise Unfit(f"{path}: no such tensor")
        tensor = parts.tensors[path]
        return tensor.to(device) if parts.facts.get(path) == _ON_DEVICE else tensor
    if hint is RowFile:
        if path not in parts.rows:
            raise Unfit(f"{path}: no such rows")
        return parts.rows[path]
    if is_dataclass(hint) and isinstance(hint, type):
        return _unpack_fields(f"{path}.", hint, parts, device, {})
    if path not in parts.facts:
        raise Unfit(f"{path}: missing")
    return _scalar(path, hint, parts.facts[path])


def _present(path: str, hint: Any, parts: Parts) -> Any:
    """The type of what is there, of the alternatives `X | None`."""
    if get_origin(hint) not in (Union, types.UnionType):
        return hint
    others = [each for each in get_args(hint) if each is not type(None)]
    if path in parts.facts and parts.facts[path] is None and len(others) < len(get_args(hint)):
        return type(None)
    if len(others) != 1:
        raise Unfit(f"{path}: one of several types")
    return others[0]


def _scalar(path: str, hint: Any, value: Any) -> Any:
    origin = get_origin(hint)
    if origin is Literal and value in get_args(hint):
        return value
    if origin is tuple and isinstance(value, list):
        return tuple(value)
    if hint is Fraction and isinstance(value, str):
        return Fraction(value)
    if hint is float and type(value) in (int, float):
        return value
    if hint in (bool, int, str) and type(value) is hint:
        return value
    raise Unfit(f"{path}: {value!r:.80} is no {hint}")
