"""Dataclasses of tensors that share their first dimension: picked from, joined, moved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import Field, fields
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from pipeline.engines.windows import brought


class Batch:
    """Base of a dataclass whose fields are tensors (B, …), or such dataclasses."""

    __slots__ = ()
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    def __getitem__(self, rows: Tensor | slice) -> Self:
        """Some of it, by (b,) indices, a mask or a slice; what is on the host stays there."""
        if isinstance(rows, slice):
            return self._each(lambda value: value[rows])
        return self._picked({rows.device: rows}, rows)

    def _picked(self, known: dict[torch.device, Tensor], rows: Tensor) -> Self:
        """By rows that travel once to each device, and let nobody wait on their way there."""

        def pick(value: Any) -> Any:
            if isinstance(value, Batch):
                return value._picked(known, rows)
            at: torch.device = value.device
            if at not in known:
                known[at] = _moved(rows, at)
            return value[known[at]]

        return self._each(pick)

    def to(self, device: str) -> Self:
        """A copy on a device."""
        at = torch.device(device)
        return self._each(lambda it: it.to(device) if isinstance(it, Batch) else _moved(it, at))

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        """Several batches of tensors as one."""
        return cls(*(torch.cat([getattr(each, f.name) for each in parts]) for f in fields(cls)))

    def _each(self, change: Callable[[Any], Any]) -> Self:
        return type(self)(*(change(getattr(self, field.name)) for field in fields(self)))


def _moved(value: Tensor, device: torch.device) -> Tensor:
    away = value.device.type == "cpu" != device.type
    return brought(value, device) if away else value.to(device)
