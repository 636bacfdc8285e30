"""A checkpoint of one's own is taken as it is, or the error says what it must be."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pipeline.engines.wav2lip.engine import LICENCE, load_engine, load_network
from pipeline.errors import WeightsMissing
from tests.pipeline.engines.runs import own_checkpoint, run


def test_own_checkpoint_is_loaded_and_its_licence_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own_checkpoint(tmp_path / "wav2lip")
    engine = load_engine(tmp_path, "cpu")
    assert LICENCE in caplog.text
    assert engine.facts.version == "96"
    assert [fact.name for fact in engine.facts.weights] == ["wav2lip_gan.pth"]
    assert "research" in LICENCE
    assert run(engine, tmp_path, seconds=0.05, frames=2).finish.warnings == [LICENCE]


@pytest.mark.parametrize("halved", ["", "conv_block.0"])
def test_checkpoint_saved_in_halves_whole_or_in_part_paints_as_any_other(
    tmp_path: Path, halved: str
) -> None:
    path = own_checkpoint(tmp_path / "wav2lip")
    state = torch.load(path, weights_only=True)["state_dict"]
    for key, value in state.items():
        if halved in key and value.is_floating_point():
            state[key] = value.half()
    torch.save(state, path)
    assert len(run(load_engine(tmp_path, "cpu"), tmp_path, seconds=0.05, frames=2).after) == 1
    assert {value.dtype for value in load_network(path).parameters()} == {torch.float32}


def test_what_is_no_file_is_no_checkpoint(tmp_path: Path) -> None:
    own_checkpoint(tmp_path / "wav2lip")
    (tmp_path / "wav2lip" / "unpacked.pth").mkdir()
    assert load_engine(tmp_path, "cpu").facts.version == "96"
    with pytest.raises(WeightsMissing, match=r"unpacked\.pth is no readable .*directory"):
        load_network(tmp_path / "wav2lip" / "unpacked.pth")


def test_missing_or_ambiguous_checkpoint_says_where_to_put_it(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match=f"{tmp_path / 'wav2lip'}.*found: none"):
        load_engine(tmp_path, "cpu")
    path = own_checkpoint(tmp_path / "wav2lip", width=1 / 32)
    path.with_name("other.pth").write_bytes(path.read_bytes())
    with pytest.raises(WeightsMissing, match=r"other\.pth, wav2lip_gan\.pth"):
        load_engine(tmp_path, "cpu")


def test_checkpoint_of_another_shape_is_refused_by_name(tmp_path: Path) -> None:
    path = own_checkpoint(tmp_path, width=1 / 32)
    with pytest.raises(WeightsMissing, match="of another shape"):
        load_network(path)
    torch.save({"state_dict": {"a": torch.zeros(1)}}, path)
    with pytest.raises(WeightsMissing, match="96, 256 or 288"):
        load_network(path)
