"""Memory of CUDA on paper: which is the device's, and what torch's allocator keeps of captures."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import torch
from torch import Tensor


class OnPaper(Tensor):
    """A tensor that says it is on a CUDA device."""

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        return torch.device("cuda", 0)


class GivenUp(RuntimeError):
    """What a network raises under which the driver gives a capture up."""


class Pools:
    """What torch's allocator keeps of captures."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._recording: list[Any] = []
        self._users: Counter[Any] = Counter()
        self._owed: dict[Any, int] = {}
        self.lost = False
        """Whether the device has failed for good."""

    def handle(self) -> tuple[int, int]:
        return 0, next(self._numbers)

    def begin(self, pool: Any) -> None:
        self.wait()
        self.give_back()
        if pool in self._users and not self._users[pool]:
            raise RuntimeError("use_count > 0 INTERNAL ASSERT FAILED")
        self._recording.append(pool)
        self._users[pool] += 1

    def end(self, device: int, pool: Any) -> None:
        del device
        if pool not in self._recording:
            raise RuntimeError("endAllocatePool: not currently recording to mempool_id")
        self._recording.remove(pool)

    def give_up(self, pool: Any) -> None:
        """The driver gave a capture up: nobody will be told, and its share is to be given back."""
        self._owed[pool] = self._users[pool] - 1

    @property
    def leaked(self) -> list[Any]:
        """Pools whose memory a capture that was given up keeps."""
        return [pool for pool, users in self._owed.items() if self._users[pool] > users]

    def release(self, device: int, pool: Any) -> None:
        del device
        self._users[pool] -= 1
        assert self._users[pool] >= 0

    def wait(self, *_: Any) -> None:
        """For the whole device."""
        if self.lost:
            raise RuntimeError("CUDA error: unspecified launch failure")

    def give_back(self) -> None:
        """Memory that nobody uses."""
        if self._recording:
            raise RuntimeError("captures_underway.empty() INTERNAL ASSERT FAILED")


class Device:
    """Which memory is the device's."""

    def __init__(self) -> None:
        self._tensors: list[Tensor] = []  # kept, so that no other tensor gets their memory
        self._places: set[int] = set()

    def has(self, tensor: Tensor) -> bool:
        return tensor.untyped_storage().data_ptr() in self._places

    def take(self, tensors: list[Tensor]) -> None:
        self._tensors += tensors
        self._places |= {tensor.untyped_storage().data_ptr() for tensor in tensors}
