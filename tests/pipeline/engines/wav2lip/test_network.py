"""Each variant has its published size and sees what it was trained on."""

from __future__ import annotations

import pytest
import torch

from pipeline.engines.wav2lip.boxes import SPAN, smoothed
from pipeline.engines.wav2lip.network import VARIANTS, Wav2Lip, variant_of
from pipeline.engines.wav2lip.picture import network_input


@pytest.mark.parametrize(
    ("side", "parameters"), [(96, 36_298_035), (256, 53_605_683), (288, 48_520_755)]
)
def test_variants_have_their_published_size_and_are_told_apart(side: int, parameters: int) -> None:
    with torch.device("meta"):
        network = Wav2Lip(VARIANTS[side])
    assert sum(value.numel() for value in network.parameters()) == parameters
    names = list(network.state_dict())
    last = network.face_encoder_blocks[-1][0].conv_block[0].weight.shape[-1]  # type: ignore[index]
    assert variant_of(names, last) is VARIANTS[side]
    assert variant_of([name for name in names if "blocks.5" not in name], last) is None


@pytest.mark.parametrize("side", VARIANTS)
def test_variants_run_at_their_size(side: int) -> None:
    network = Wav2Lip(VARIANTS[side], width=1 / 16).eval()
    faces = torch.randint(0, 256, (2, 3, side, side), dtype=torch.uint8)
    with torch.inference_mode():
        out = network(torch.zeros(2, 1, 80, 16), network_input(faces))
    assert out.shape == (2, 3, side, side)
    assert 0 <= out.min() <= out.max() <= 1


def test_lower_half_is_hidden_from_the_first_three_channels_only() -> None:
    faces = torch.full((1, 3, 96, 96), 255, dtype=torch.uint8)
    x = network_input(faces)
    assert (x[:, :3, :48] == 1).all()
    assert not x[:, :3, 48:].any()
    assert (x[:, 3:] == 1).all()


@pytest.mark.parametrize("count", [1, 3, SPAN, 12])
def test_boxes_are_means_of_what_follows_and_the_last_stay(count: int) -> None:
    boxes = torch.arange(count * 4).reshape(count, 4)
    got = smoothed(boxes)
    assert got.shape == (count, 4)
    for n in range(count):
        first = min(n, max(0, count - SPAN))
        want = boxes[first : first + SPAN].double().mean(dim=0)
        assert torch.allclose(got[n], want)
    assert torch.equal(boxes, torch.arange(count * 4).reshape(count, 4))
