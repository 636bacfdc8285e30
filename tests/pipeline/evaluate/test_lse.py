"""LSE-C and LSE-D from files; the networks themselves are held by `tests/parity`."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from pipeline.errors import InputUnreadable
from pipeline.evaluate.lse import SIDE, faces, load_network, score_of
from pipeline.reading.audio import Speech
from pipeline.syncnet.network import SyncNet
from tests.parity.rule import weights_for
from tests.pipeline.evaluate.puppets import watched
from tests.support.media import Clip, write_clip


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> SyncNet:
    with torch.device("meta"):
        shape = SyncNet()
    path = tmp_path_factory.mktemp("syncnet") / "syncnet.safetensors"
    save_file({k: v.contiguous() for k, v in weights_for(shape, "lse").items()}, path)
    return load_network(path, "cpu")


def test_faces_come_25_a_second_whatever_the_file_has(tmp_path: Path) -> None:
    clip = Clip(width=480, height=400, frames=15, fps=Fraction(50))
    cut = faces(watched(write_clip(tmp_path / "fast.mp4", clip), torch.full((15,), 0.1)))
    assert cut.shape == (7, 3, SIDE, SIDE)
    assert cut.dtype == torch.uint8
    assert float(cut.float().std()) > 5  # a picture, not the grey of its surroundings


def test_a_clip_is_scored_and_what_cannot_be_says_why(tmp_path: Path, network: SyncNet) -> None:
    path = write_clip(tmp_path / "a.mp4", Clip(width=480, height=400, frames=8))
    seen = watched(path, torch.full((8,), 0.1))
    noise = 0.1 * torch.randn(16_000, generator=torch.Generator().manual_seed(0))
    speech = Speech(noise, Fraction(1))
    found = score_of(network, seen, speech)
    assert not isinstance(found, str)
    assert found.lse_d > 0
    assert abs(found.offset) <= 15
    assert score_of(network, seen, None) == "it has no sound"
    short = Speech(noise[:2000], Fraction(1, 8))
    assert score_of(network, seen, short) == "it is shorter than six frames of 25 a second"


def test_another_checkpoint_is_refused_by_name_and_nothing_of_it_runs(tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    save_file({"a": torch.zeros(3)}, other)
    with pytest.raises(InputUnreadable, match="SyncNet v2"):
        load_network(other, "cpu")
    text = tmp_path / "text.pth"
    text.write_text("no checkpoint at all")
    with pytest.raises(InputUnreadable, match="--syncnet"):
        load_network(text, "cpu")
