"""The face networks on a GPU, shared by all jobs that look for faces at the time.

The pictures are cut out on the host, where the decoded planes are, and only they travel. A network
of some hundred small layers takes as long to launch for one face as for thirty: so the faces of all
jobs go together, as a captured graph (`pipeline.batching`).
"""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.batching.cuda import is_cuda, on_host
from pipeline.batching.placed import runner_on
from pipeline.batching.row import gather
from pipeline.batching.runner import Column, Traits
from pipeline.batching.shared import Shared
from pipeline.faces.graph import Model
from pipeline.faces.network import Network

BUCKETS = (8, 16, 32)
MAX_DELAY_S = 0.001
"""A look takes a few milliseconds; waiting longer for company would cost more than it saves."""


class SharedNetwork:
    """Stands for a `Network`, from the host's side: pictures and outputs are on the host."""

    device = "cpu"
    """Where it takes pictures from and leaves its outputs."""

    def __init__(self, model: Model, device: str) -> None:
        self._network = Network(model, device)
        self._names = list(model.graph.outputs)
        self._widths: list[int] = []
        self.size = self._network.size
        columns = [Column((3, self.size, self.size), torch.float32)]
        # Somebody waits for its short steps, and a bit of a factor is a tenth of a pixel.
        name = f"faces: {model.graph.name}"
        traits = Traits(name, compiled=False, urgent=True, exact=True)
        runner = runner_on(device, self._flat, columns, BUCKETS, traits)
        self._shared = Shared(runner, BUCKETS, max_delay_s=MAX_DELAY_S)
        self._open = self._shared.open()  # keeps the thread between two looks

    def __call__(self, pictures: Tensor) -> dict[str, Tensor]:
        """Run a batch, together with those of other jobs.

        Args:
            pictures: (N, 3, size, size) float32 on the host.

        Returns:
            Each output by its name, (N, values), on the host.
        """
        with self._shared.open() as lane:
            lane.submit([(picture,) for picture in pictures])
            flat = on_host(gather([lane.take() for _ in pictures]))
        return dict(zip(self._names, torch.split(flat, self._widths, dim=1), strict=True))

    def warm(self) -> None:
        """Capture the graphs now."""
        self._shared.warm()

    def _flat(self, pictures: Tensor) -> Tensor:
        """(N, 3, size, size) to all outputs side by side, (N, values)."""
        outputs = self._network(pictures)
        self._widths = [outputs[name].shape[1] for name in self._names]
        return torch.cat([outputs[name] for name in self._names], dim=1)


def network_on(model: Model, device: str) -> Network | SharedNetwork:
    """A network for a device: of the caller's own on the CPU, a shared one on a GPU."""
    if is_cuda(device):
        return SharedNetwork(model, device)
    from pipeline.faces.litert import LiteNetwork  # a GPU machine may do without LiteRT

    return LiteNetwork(model)
