"""SyncNet v2: cepstra, both networks, and the scores."""

from __future__ import annotations

import re
import zlib

import numpy as np
import pytest
import torch

from pipeline.syncnet.mfcc import mfcc
from pipeline.syncnet.network import SyncNet, load_syncnet
from pipeline.syncnet.score import score
from tests.parity.compare import Array, close, equal, within
from tests.parity.conftest import Npz
from tests.parity.rule import weights_for

pytestmark = pytest.mark.parity


@pytest.fixture(scope="module")
def network(salt: str) -> SyncNet:
    with torch.device("meta"):
        shape = SyncNet()
    return load_syncnet(weights_for(shape, salt))


def _lips(phase: int) -> Array:
    """The synthetic mouth of the vectors, (3, 5, 224, 224) uint8."""
    channel, t, y, x = np.ogrid[:3, :5, :224, :224]
    value = 37 * x + 101 * y + 71 * t + 53 * channel + ((x * y) >> 3) + ((x * x + y * y) >> 4)
    pixels: Array = ((value + phase) & 255).astype(np.uint8)
    return pixels


def test_cepstra_match(npz: Npz) -> None:
    vectors = npz("syncnet_v2")
    clips = [key for key in vectors if re.fullmatch(r"pcm_\d+", key)]
    assert clips
    for key in clips:
        want = vectors[key.replace("pcm", "mfcc")]
        got = mfcc(torch.from_numpy(vectors[key]))
        close(f"syncnet {key} mfcc", got, want, 1e-5)
        within(f"syncnet {key} mfcc", got, want, 1e-4)


@torch.inference_mode()
def test_audio_network_matches(npz: Npz, network: SyncNet) -> None:
    vectors = npz("syncnet_v2")
    got = network.audio(torch.from_numpy(vectors["aud_in"]))
    close("syncnet aud_out", got, vectors["aud_out"], 1e-5)


@torch.inference_mode()
def test_lip_network_matches(npz: Npz, network: SyncNet) -> None:
    vectors = npz("syncnet_v2")
    for n, phase in enumerate(vectors["lip_phase"]):
        lips = _lips(int(phase))
        assert zlib.crc32(lips.tobytes()) == int(vectors["lip_crc32"][n])
        x = torch.from_numpy(lips).float().unsqueeze(0)
        close(f"syncnet lip_feat[{n}]", network.lip_features(x)[0], vectors["lip_feat"][n], 1e-5)
        close(f"syncnet lip_out[{n}]", network.lip(x)[0], vectors["lip_out"][n], 1e-5)


def test_scores_match_the_published_evaluation(npz: Npz) -> None:
    vectors = npz("syncnet_v2")
    pairs = [key[:-3] for key in vectors if re.fullmatch(r"lse_\d+_im", key)]
    assert pairs
    for pair in pairs:
        lips, sounds = (torch.from_numpy(vectors[f"{pair}_{side}"]) for side in ("im", "cc"))
        shift = (len(vectors[f"{pair}_mean_dist"]) - 1) // 2
        got = score(lips, sounds, shift)
        close(f"syncnet {pair}_mean_dist", got.mean_distance, vectors[f"{pair}_mean_dist"], 1e-5)
        equal(f"syncnet {pair}_offset", np.array(got.offset), vectors[f"{pair}_offset"])
        close(f"syncnet {pair} LSE-C", np.array(got.lse_c), vectors[f"{pair}_conf_LSE_C"], 1e-5)
        close(f"syncnet {pair} LSE-D", np.array(got.lse_d), vectors[f"{pair}_min_LSE_D"], 1e-5)
        within(
            f"syncnet {pair}_frame_conf",
            got.frame_confidence,
            vectors[f"{pair}_frame_conf"],
            1e-4,
        )
