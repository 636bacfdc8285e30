"""Python's `[...]` of a tensor as operators: torch's own asks the device's driver before them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

_aten: Any = torch.ops.aten


def taken(tensor: Tensor, key: Any) -> Tensor:
    """`tensor[key]`."""
    view, indices = _parted(tensor, key)
    made: Tensor = _aten.index.Tensor(view, indices) if indices else view
    return made


def put(tensor: Tensor, key: Any, value: Any) -> None:
    """`tensor[key] = value`."""
    view, indices = _parted(tensor, key)
    given = (
        value
        if isinstance(value, Tensor)
        else _aten.full([], value, dtype=tensor.dtype, device=tensor.device)
    )
    if indices:
        _aten.index_put_.default(view, indices, given.to(tensor.dtype))
    else:
        _aten.copy_.default(view, given)


def _parted(tensor: Tensor, key: Any) -> tuple[Tensor, list[Tensor | None]]:
    """A view by what is plain in the key, and the indices of the rest."""
    keys = key if isinstance(key, tuple) else (key,)
    taking = sum(
        each.ndim if _is_mask(each) else 1
        for each in keys
        if each is not None and each is not Ellipsis
    )
    view, dim = tensor, 0
    indices: list[Tensor | None] = []
    for each in keys:
        if each is Ellipsis:
            dim += tensor.ndim - taking
        elif each is None:
            view, dim = _aten.unsqueeze.default(view, dim), dim + 1
        elif isinstance(each, int):
            view = _aten.select.int(view, dim, each)
        elif isinstance(each, slice):
            if each != slice(None):
                view = _aten.slice.Tensor(view, dim, each.start, each.stop, each.step or 1)
            dim += 1
        else:
            index = each if isinstance(each, Tensor) else torch.tensor(each)
            indices += [None] * (dim - len(indices)) + [index]
            dim += index.ndim if _is_mask(index) else 1
    return view, indices


def _is_mask(key: Any) -> bool:
    return isinstance(key, Tensor) and key.dtype == torch.bool
