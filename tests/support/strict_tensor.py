"""A tensor that says it is on a CUDA device, and holds its numbers in the host's memory."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tests.support import strict_index
from tests.support.strict_streams import Block

_aten: Any = torch.ops.aten
CUDA = torch.device("cuda", 0)


class OnDevice(Tensor):
    """A tensor that says it is on the device."""

    held: Tensor
    """Its numbers."""
    block: Block

    @staticmethod
    def __new__(cls: type[OnDevice], held: Tensor, block: Block) -> OnDevice:
        size, strides, offset = held.size(), held.stride(), held.storage_offset()
        made: OnDevice = Tensor._make_wrapper_subclass(
            cls, size, strides, offset, dtype=held.dtype, device=CUDA
        )
        made.held, made.block = held, block
        return made

    def __init__(self, held: Tensor, block: Block) -> None:
        """`__new__` has done it."""

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @classmethod
    def __torch_dispatch__(  # type: ignore[override]  # torch's own is typed as no method
        cls, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        raise AssertionError(f"{func} runs in a thread that this device does not know")

    def contiguous(self, memory_format: torch.memory_format = torch.contiguous_format) -> Tensor:
        """The same, side by side in memory; torch's own asks the driver before any operator."""
        if self.held.is_contiguous(memory_format=memory_format):
            return self
        return self.clone(memory_format=memory_format)

    def copy_(self, source: Tensor, non_blocking: bool = False) -> Tensor:
        """Likewise."""
        return _aten.copy_.default(self, source, non_blocking)  # type: ignore[no-any-return]

    def new_tensor(self, data: Any) -> Tensor:  # type: ignore[override]  # its options are not asked for
        """Numbers of the host, brought here."""
        return torch.tensor(data, dtype=self.dtype, device=self.device)

    def __invert__(self) -> Tensor:
        return self.bitwise_not()

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def numpy(self, *, force: bool = False) -> Any:
        """Numbers on the host."""
        if not force:
            raise TypeError("can't convert cuda:0 device type tensor to numpy")
        return self.cpu().numpy()

    def tolist(self) -> Any:
        """Likewise."""
        return self.cpu().tolist()

    def __getitem__(self, key: Any) -> Tensor:
        return strict_index.taken(self, key)

    def __setitem__(self, key: Any, value: Any) -> None:
        strict_index.put(self, key, value)

    def record_stream(self, stream: Any) -> None:
        """Keep the memory until a stream has come so far."""
        self.block.kept_for.add(stream)
