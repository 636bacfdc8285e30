"""The runner that suits a device."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.batching.captured import Captured
from pipeline.batching.cuda import is_cuda
from pipeline.batching.runner import PLAIN, Column, Direct, Network, Runner, Traits
from pipeline.hardware import use


def runner_on(
    device: str,
    network: Network,
    columns: Sequence[Column],
    buckets: Sequence[int],
    traits: Traits = PLAIN,
    threads: int = 1,
) -> Runner:
    """A network in captured graphs on CUDA, if `hardware.Use.launching` allows; as it is elsewhere.

    Args:
        threads: processors that one operator may use on the CPU.
    """
    if not is_cuda(device):
        return Direct(network, columns, device, threads)
    best = use().launching
    way = "captured" if best == "compiled" and not traits.compiled else best
    return Captured(network, columns, buckets, device, way, traits)
