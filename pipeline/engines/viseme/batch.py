"""Dataclasses of tensors that share their first dimension: picked from, joined, moved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import Field, fields
from typing import Any, ClassVar, Self

import torch
from torch import Tensor


class Batch:
    """Base of a dataclass whose fields are tensors (B, …), or such dataclasses."""

    __slots__ = ()
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    def __getitem__(self, rows: Tensor | slice) -> Self:
        """Some of it, by (b,) indices, a mask or a slice; what is on the host stays there."""
        return self._each(lambda value: value[_beside(value, rows)])

    def to(self, device: str) -> Self:
        """A copy on a device."""
        return self._each(lambda value: value.to(device))

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        """Several batches of tensors as one."""
        return cls(*(torch.cat([getattr(each, f.name) for each in parts]) for f in fields(cls)))

    def _each(self, change: Callable[[Any], Any]) -> Self:
        return type(self)(*(change(getattr(self, field.name)) for field in fields(self)))


def _beside(value: Tensor | Batch, rows: Tensor | slice) -> Tensor | slice:
    at_host = isinstance(value, Tensor) and not value.is_cuda
    return rows.cpu() if at_host and isinstance(rows, Tensor) else rows
