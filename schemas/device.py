"""What a worker says of the device that it has."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.request import Contract

Way = Literal["compiled", "captured", "single"]
"""How a network runs on a GPU, `F2F_GPU_NETWORKS`."""
WAYS: tuple[Way, ...] = ("compiled", "captured", "single")
"""The fastest first; who cannot go one goes the next."""


class DeviceMemory(Contract):
    """What one process holds of its GPU's memory, bytes."""

    total_bytes: int = Field(description="of the device")
    idle_bytes: int = Field(description="before any job: weights, graphs, CUDA itself")
    job_bytes: int = Field(0, description="that each job has added; 0 before the first")
    jobs: int = Field(0, description="most jobs at a time so far")
