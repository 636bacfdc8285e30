"""The face networks of this process, loaded once and shared by its jobs."""

from __future__ import annotations

from pathlib import Path

from pipeline.batching.cuda import is_cuda
from pipeline.faces.detector import Detector
from pipeline.faces.mesh import MeshNetwork
from pipeline.once import Once
from pipeline.weights import load_faces, weights_root


def networks(device: str, threads: int) -> tuple[Detector, MeshNetwork]:
    """Detector and mesh on a device; on a GPU jobs of all budgets share one pair.

    Raises:
        WeightsMissing: the face models are not on this machine.
    """
    return of_root(device, weights_root(), 1 if is_cuda(device) else min(threads, 2))


def warm(device: str) -> None:
    """Load the networks, and on a GPU capture them: the first job would wait for that.

    Raises:
        WeightsMissing: as `networks`.
        RuntimeError: the GPU has no memory for them.
    """
    for network in networks(device, 1):
        network.warm()


@Once
def of_root(device: str, root: Path, threads: int) -> tuple[Detector, MeshNetwork]:
    """The networks of a weights folder."""
    models = load_faces(root)
    return Detector(models.detector, device, threads), MeshNetwork(models.mesh, device, threads)
