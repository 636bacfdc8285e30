"""Wav2Lip: sound, windows, boxes, network and paste."""

from __future__ import annotations

import math
import re
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import Tensor

from pipeline.engines.wav2lip.boxes import smoothed
from pipeline.engines.wav2lip.mel import WINDOW, mel_spectrogram, window_starts
from pipeline.engines.wav2lip.network import VARIANTS, Wav2Lip
from pipeline.engines.wav2lip.picture import network_input, to_bytes
from tests.parity.compare import Array, close, equal, thinned, within
from tests.parity.conftest import Npz, fps_of, need
from tests.parity.rule import weights_for
from tests.pipeline.engines.resized import opencv_linear

pytestmark = pytest.mark.parity


def _wave(pcm: Array) -> Tensor:
    return torch.from_numpy(pcm.astype(np.float32) / 32768.0)


def test_mel_matches(npz: Npz) -> None:
    vectors = npz("wav2lip_audio")
    clips = [key for key in vectors if re.fullmatch(r"pcm_\d+", key)]
    assert clips
    for key in clips:
        got, want = mel_spectrogram(_wave(vectors[key])), vectors[key.replace("pcm", "mel")]
        close(f"wav2lip {key} mel", got, want, 1e-5)
        within(f"wav2lip {key} mel", got, want, 1e-4)


def test_mel_reflects_at_loud_edges(npz: Npz) -> None:
    vectors = npz("wav2lip_audio")
    need(vectors, "slice_start_stop", "mel_slice")
    start, stop = vectors["slice_start_stop"]
    got = mel_spectrogram(_wave(vectors["pcm_0"][start:stop]))
    close("wav2lip mel_slice", got, vectors["mel_slice"], 1e-5)
    within("wav2lip mel_slice", got, vectors["mel_slice"], 1e-4)


def test_windows_start_where_the_original_starts_them_in_exact_time(npz: Npz) -> None:
    vectors = npz("wav2lip_audio")
    rows = [(key, re.fullmatch(r"start_(\d+)_fps_(.+)", key)) for key in vectors]
    found = [(key, match) for key, match in rows if match]
    assert found
    for key, match in found:
        want = vectors[key]
        columns = vectors[f"mel_{match[1]}"].shape[1]
        fps = fps_of(match[2])
        got = window_starts(fps, range(len(want)), columns)
        # Floating point may fall to the other side of a whole column; exact time does not.
        on_edge = [_near_whole(n * 80 / fps) for n in range(len(want))]
        apart = [
            abs(a - b) for a, b, edge in zip(got, want, on_edge, strict=True) if a != b and not edge
        ]
        assert not apart, f"{key}: {apart}"
        assert want[-1] == columns - WINDOW
        equal(f"wav2lip {key}", np.array(got), want, apart=1, share=float(np.mean(on_edge)))


def _near_whole(value: Fraction) -> bool:
    return math.isclose(float(value), round(value), rel_tol=0, abs_tol=1e-9)


def test_every_frame_to_the_end_of_the_sound_has_a_window(npz: Npz) -> None:
    vectors = npz("wav2lip_audio")
    columns = vectors["mel_0"].shape[1]
    frames = round(len(vectors["pcm_0"]) / 16000 * 25)
    got = window_starts(Fraction(25), range(frames), columns)
    assert len(got) == frames > len(vectors.get("start_0_fps_25", ()))
    assert got[-1] == columns - WINDOW


def test_resampling_matches_soxr_hq(npz: Npz) -> None:
    soxr = pytest.importorskip("soxr", reason="soxr is not installed: resampling is not compared")
    vectors = npz("wav2lip_audio")
    need(vectors, "rs_pcm", "rs_sr", "rs_out")
    mono = vectors["rs_pcm"].astype(np.float32).mean(axis=1) / 32768.0
    got = soxr.resample(mono, int(vectors["rs_sr"]), 16000, quality="HQ")
    close("wav2lip rs_out", got, vectors["rs_out"], 1e-5)


@torch.inference_mode()
def test_network_matches_tap_by_tap(npz: Npz, salt: str) -> None:
    vectors = npz("wav2lip_net")
    network = Wav2Lip(VARIANTS[96]).eval()
    network.load_state_dict(weights_for(network, salt), strict=True)
    faces = torch.from_numpy(vectors["face_u8_bgr"]).permute(0, 3, 1, 2)
    mel, x = torch.from_numpy(vectors["mel"]), network_input(faces)
    total = np.array([x.double().sum().item(), x.double().square().sum().item()])
    close("wav2lip x_check", total, vectors["x_check"], 1e-9)

    seen: dict[str, Tensor] = {}
    for key in (key for key in vectors if key.startswith("tap_")):
        module = network.get_submodule(key.removeprefix("tap_"))
        module.register_forward_hook(lambda _, __, out, key=key: seen.update({key: out}))
    logits = network.output_block[1].register_forward_hook(
        lambda _, __, out: seen.update(logits=out)
    )
    out = network(mel, x)
    for key, tap in list(seen.items()):
        want = vectors[key]
        got = tap[:, :, ::2, ::2] if key == "logits" else thinned(tap, want.shape, 16)
        close(f"wav2lip {key}", got, want, 1e-5)
    logits.remove()

    swapped = network(mel.flip(0), x)
    close("wav2lip out", out, vectors["out"], 1e-5)
    close("wav2lip out_mel_swapped", swapped[..., ::2, ::2], vectors["out_mel_swapped"], 1e-5)
    moved = vectors["out"][..., ::2, ::2] - vectors["out_mel_swapped"]
    close("wav2lip out - out_mel_swapped", (out - swapped)[..., ::2, ::2], moved, 1e-3)

    want = vectors["paste_u8"]
    pasted = opencv_linear(to_bytes(out[0]), *want.shape[:2]).permute(1, 2, 0)
    equal("wav2lip paste_u8", pasted, want, apart=1, share=1e-3)


def test_boxes_are_smoothed_without_rounding_or_creeping(npz: Npz) -> None:
    vectors = npz("wav2lip_net")
    got = smoothed(torch.from_numpy(vectors["boxes_in"]))
    within("wav2lip boxes_smoothed_clean", got, vectors["boxes_smoothed_clean"], 1e-9)
