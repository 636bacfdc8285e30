"""The runner that suits a device."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.batching.captured import Captured
from pipeline.batching.cuda import is_cuda
from pipeline.batching.runner import Column, Direct, Network, Runner
from pipeline.hardware import launching


def runner_on(
    device: str,
    network: Network,
    columns: Sequence[Column],
    buckets: Sequence[int],
    *,
    name: str = "a network",
    threads: int = 1,
    compiled: bool = True,
    urgent: bool = False,
    exact: bool = False,
) -> Runner:
    """A network in captured graphs on CUDA, if `hardware.launching` allows; as it is elsewhere.

    Args:
        device: where the network's weights are.
        network: what to run.
        columns: its arguments.
        buckets: batch sizes, ascending.
        name: in the log and in `pipeline.batching.ways`, on CUDA.
        threads: processors that one operator may use on the CPU.
        compiled: on CUDA, compile the largest batch size.
        urgent: on CUDA, its steps go before other networks'.
        exact: on CUDA, convolutions of single precision keep all bits.
    """
    if is_cuda(device):
        return Captured(
            network,
            columns,
            buckets,
            device,
            compiled and launching() == "compiled",
            captured=launching() != "single",
            name=name,
            urgent=urgent,
            exact=exact,
        )
    return Direct(network, columns, device, threads)
