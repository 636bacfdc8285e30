"""What MuseTalk hears: log-mel, encoder states, exact windows, tokens and positions."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.engines.musetalk.hearing import RATE, SpeechTokens, encoder_states, log_mel
from pipeline.engines.musetalk.networks import build_whisper, load_into
from pipeline.engines.musetalk.windows import STEP_RATE, positional_table, window_steps
from tests.parity.compare import Array, close, equal, within
from tests.parity.conftest import Npz, fps_of, need
from tests.parity.rule import dim, weights_for

pytestmark = pytest.mark.parity


@pytest.fixture(scope="module")
def vectors(npz: Npz) -> dict[str, Array]:
    return npz("musetalk_audio")


@pytest.fixture(scope="module")
def encoder(salt: str) -> Any:
    network = build_whisper()
    load_into(network, weights_for(network, salt))
    return network


def _clips(vectors: dict[str, Array]) -> dict[str, Tensor]:
    clips = {key[4:]: key for key in vectors if re.fullmatch(r"pcm_\d+", key)}
    assert clips
    return {
        number: torch.from_numpy(vectors[key].astype(np.float32) / 32768.0)
        for number, key in clips.items()
    }


def test_log_mel_matches(vectors: dict[str, Array]) -> None:
    for number, wave in _clips(vectors).items():
        got = log_mel(wave)[0]
        head, tail = vectors[f"logmel_{number}_head"], vectors[f"logmel_{number}_tail"]
        for name, part, want in (
            ("head", got[:, : head.shape[1]], head),
            ("tail", got[:, -tail.shape[1] :], tail),
        ):
            close(f"musetalk logmel_{number}_{name}", part, want, 1e-5)
            within(f"musetalk logmel_{number}_{name}", part, want, 1e-3)


def test_encoder_states_match(vectors: dict[str, Array], encoder: Any) -> None:
    for number, wave in _clips(vectors).items():
        states = encoder_states(encoder, log_mel(wave))
        want, pad = vectors[f"hidden_{number}"], vectors[f"hidden_{number}_pad"]
        close(f"musetalk hidden_{number}", states[0:160:8, :, ::12], want, 1e-5)
        close(f"musetalk hidden_{number}_pad", states[160::67, :, ::12], pad, 1e-5)


def test_windows_are_exact_at_every_rate(vectors: dict[str, Array]) -> None:
    found = 0
    for key, want in vectors.items():
        match = re.fullmatch(r"steps_(\d+)_fps_(.+?)(_clean)?", key)
        clean_exists = f"{key}_clean" in vectors
        if match is None or key.endswith("_UPSTREAM_BUG") or clean_exists:
            continue
        steps = vectors[f"pcm_{match[1]}"].size * STEP_RATE // RATE
        got = window_steps(fps_of(match[2]), range(len(want)), steps)
        equal(f"musetalk {key}", got, want)
        found += 1
    assert found


def test_tokens_match_in_order(vectors: dict[str, Array], encoder: Any) -> None:
    waves = _clips(vectors)
    found = 0
    for key, want in vectors.items():
        match = re.fullmatch(r"tokens_(\d+)_fps(.+)_sub", key)
        if match is None:
            continue
        prefix = key.removesuffix("_sub")
        speech = SpeechTokens(encoder, waves[match[1]])
        got = speech.frames(fps_of(match[2]), range(len(want)))
        close(f"musetalk {key}", got[:, ::7, ::24], want, 1e-5)
        if f"{prefix}_full" in vectors:
            picked = got[torch.from_numpy(vectors[f"{prefix}_frames"])]
            close(f"musetalk {prefix}_full", picked, vectors[f"{prefix}_full"], 1e-5)
            if f"{prefix}_full_pe" in vectors:
                table = picked + positional_table()
                close(f"musetalk {prefix}_full_pe", table, vectors[f"{prefix}_full_pe"], 1e-5)
        found += 1
    assert found


def test_speech_of_two_pieces_matches_across_the_seam(
    vectors: dict[str, Array], encoder: Any
) -> None:
    need(vectors, "long_frames", "long_num_frames")
    found = 0
    for key, want in vectors.items():
        match = re.fullmatch(r"long_tokens_fps(.+)_sub", key)
        if match is None:
            continue
        fps, once = fps_of(match[1]), _clips(vectors)["0"]
        copies = round(float(int(vectors["long_num_frames"]) / fps) * RATE / once.numel())
        speech = SpeechTokens(encoder, once.repeat(copies))
        frames = vectors["long_frames"].tolist()
        got = torch.cat([speech.frames(fps, range(n, n + 1)) for n in frames])
        close(f"musetalk {key}", got[:, ::7, ::24], want, 1e-5)
        steps = torch.cat([window_steps(fps, range(n, n + 1), speech.steps) for n in frames])
        equal(f"musetalk long_steps_fps{match[1]}", steps, vectors[f"long_steps_fps{match[1]}"])
        found += 1
    assert found


def test_dim_probe_shows_the_right_epsilon(vectors: dict[str, Array], salt: str) -> None:
    need(vectors, "dim_hidden_0")
    network = build_whisper()
    weights = weights_for(network, salt)
    dim(weights)
    load_into(network, weights)
    states = encoder_states(network, log_mel(_clips(vectors)["0"]))
    close("musetalk dim_hidden_0", states[0:160:16, :, ::24], vectors["dim_hidden_0"], 1e-4)
