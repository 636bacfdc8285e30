"""On a processor the face models say what torch says, one picture at a time, without a word."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor

from pipeline.faces.litert import LiteNetwork
from pipeline.faces.network import Network
from pipeline.weights import FaceModels


def _pictures(count: int, side: int) -> Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(count))


@pytest.mark.parametrize("name", ["detector", "mesh"])
def test_layers_say_what_torch_says_to_a_thousandth_of_a_pixel(
    face_models: FaceModels, name: str
) -> None:
    model = getattr(face_models, name)
    theirs, ours = Network(model), LiteNetwork(model)
    pictures = _pictures(2, ours.size)
    want, made = theirs(pictures), ours(pictures)
    assert made.keys() == want.keys()
    for key, values in want.items():
        torch.testing.assert_close(made[key], values, atol=1e-3, rtol=1e-5)


def test_a_picture_gives_the_same_bits_alone_in_a_batch_and_beside_other_threads(
    face_models: FaceModels,
) -> None:
    network = LiteNetwork(face_models.detector)
    pictures = _pictures(4, network.size)
    together = network(pictures)
    with ThreadPoolExecutor(4) as pool:
        alone = list(pool.map(network, torch.split(pictures, 1)))
    for key, values in together.items():
        assert torch.equal(values, torch.cat([one[key] for one in alone]))


def test_loading_writes_nothing_and_swallows_nothing_of_others() -> None:
    program = (
        "import os, torch\n"
        "from pipeline.faces import litert_stderr\n"
        "from pipeline.faces.litert import LiteNetwork\n"
        "from pipeline.weights import load_faces\n"
        "network = LiteNetwork(load_faces().detector)\n"
        "network(torch.zeros(1, 3, network.size, network.size))\n"
        "with litert_stderr.without_greeting():\n"
        "    os.write(2, b'somebody else\\n')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"somebody else\n")
