"""The score finds the offset, and says when there is none."""

from __future__ import annotations

import pytest
import torch

from pipeline.syncnet.mfcc import mfcc
from pipeline.syncnet.network import SyncNet, as_lips, load_syncnet
from pipeline.syncnet.score import SHIFT, embed, score
from tests.parity.rule import weights_for


@pytest.mark.parametrize("offset", [-7, 0, 4])
def test_shifted_embeddings_give_back_their_offset(offset: int) -> None:
    generator = torch.Generator().manual_seed(3)
    lips = torch.randn(90, 32, generator=generator)
    noise = 0.1 * torch.randn(90, 32, generator=generator)
    got = score(lips, lips.roll(-offset, 0) + noise)
    assert got.offset == offset
    assert got.lse_c > 3
    assert got.lse_d < 3
    assert got.frame_confidence.shape == (90,)


def test_unrelated_embeddings_are_not_confident() -> None:
    generator = torch.Generator().manual_seed(4)
    lips, sounds = torch.randn(2, 90, 32, generator=generator)
    got = score(lips, sounds)
    assert got.lse_c < 1
    assert got.mean_distance.shape == (2 * SHIFT + 1,)


@pytest.mark.parametrize(
    ("samples", "columns"), [(1, 1), (400, 1), (401, 2), (560, 2), (16000, 99)]
)
def test_cepstra_fill_up_the_last_frame(samples: int, columns: int) -> None:
    got = mfcc(torch.randint(-3000, 3000, (samples,), dtype=torch.int16))
    assert got.shape == (13, columns)
    assert torch.isfinite(got).all()


def test_cepstra_of_digital_silence_are_finite() -> None:
    assert torch.isfinite(mfcc(torch.zeros(1600))).all()


def test_lips_are_runs_of_five_frames() -> None:
    pictures = torch.arange(7, dtype=torch.uint8).reshape(7, 1, 1, 1).expand(7, 3, 224, 224)
    stacks = as_lips(pictures)
    assert stacks.shape == (3, 3, 5, 224, 224)
    assert stacks[2, 0, :, 0, 0].tolist() == [2, 3, 4, 5, 6]


def test_clip_is_embedded_window_by_window_and_short_ones_are_refused() -> None:
    with torch.device("meta"):
        shape = SyncNet()
    network = load_syncnet(weights_for(shape, "tiny"))
    pictures = torch.randint(0, 256, (9, 3, 224, 224), dtype=torch.uint8)
    samples = torch.randint(-3000, 3000, (9 * 640,), dtype=torch.int16)
    lips, sounds = embed(network, pictures, samples)
    assert lips.shape == sounds.shape == (4, 1024)
    with torch.inference_mode():
        alone = network.lip(pictures[2:7].transpose(0, 1).unsqueeze(0).float())
        heard = network.audio(mfcc(samples)[None, None, :, 8:28])
    assert torch.allclose(lips[2], alone[0], atol=1e-4)
    assert torch.allclose(sounds[2], heard[0], atol=1e-4)
    with pytest.raises(ValueError, match="at least 6 frames"):
        embed(network, pictures[:5], samples)


def test_checkpoint_saved_in_halves_scores_as_any_other() -> None:
    with torch.device("meta"):
        shape = SyncNet()
    weights = weights_for(shape, "tiny")
    halves = {k: v.half() if v.is_floating_point() else v for k, v in weights.items()}
    pictures = torch.randint(0, 256, (6, 3, 224, 224), dtype=torch.uint8)
    lips, sounds = embed(load_syncnet(halves), pictures, torch.zeros(6 * 640, dtype=torch.int16))
    assert lips.dtype == sounds.dtype == torch.float32
