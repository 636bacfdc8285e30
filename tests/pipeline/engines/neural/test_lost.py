"""A network that makes no numbers is an error, and never a black mouth."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from pipeline.engines.musetalk import picture as musetalk_picture
from pipeline.engines.musetalk.engine import MuseTalkEngine
from pipeline.engines.neural.compose import compose
from pipeline.engines.neural.lost import brightest, refuse_lost
from pipeline.engines.wav2lip import picture as wav2lip_picture
from pipeline.engines.wav2lip.engine import Wav2LipEngine
from pipeline.errors import EngineFailed
from tests.pipeline.engines import synthetic
from tests.pipeline.engines.neural.given import placed_faces
from tests.pipeline.engines.runs import musetalk, musetalk_fast, run, timeline_of, wav2lip_network


@pytest.mark.parametrize("to_bytes", [musetalk_picture.to_bytes, wav2lip_picture.to_bytes])
def test_one_sample_without_a_number_loses_its_picture_and_no_other(
    to_bytes: Callable[[Tensor], Tensor],
) -> None:
    pictures = torch.rand(3, 3, 16, 16).half()
    pictures[1, 2, 5, 5] = float("nan")
    made = to_bytes(pictures)
    assert brightest(made).bool().tolist() == [True, False, True]
    with pytest.raises(EngineFailed, match=r"no numbers \(NaN\) for 1 of 3 faces: .* verify"):
        refuse_lost(brightest(made))


def test_samples_beyond_white_and_black_are_cut_off_and_lose_nothing() -> None:
    made = musetalk_picture.to_bytes(torch.tensor([float("inf"), float("-inf")]).view(1, 1, 1, 2))
    assert made.flatten().tolist() == [255, 0]


@pytest.mark.parametrize(
    ("to_bytes", "black"),
    [(musetalk_picture.to_bytes, -1.0), (wav2lip_picture.to_bytes, 1 / 300)],
)
def test_black_faces_are_no_lost_ones(to_bytes: Callable[[Tensor], Tensor], black: float) -> None:
    """A film may fade to black while its face is followed."""
    made = to_bytes(torch.full((2, 3, 16, 16), black))
    refuse_lost(brightest(made))
    assert (made.flatten(1)[:, 1:] == 0).all()


def test_no_frame_comes_out_of_a_batch_with_a_lost_face() -> None:
    placed, faces, masks = placed_faces()
    faces[4] = 0
    with pytest.raises(EngineFailed, match="for 1 of 6 faces"):
        compose(placed, faces, masks, synthetic.COLOR)


@pytest.mark.parametrize("make", [musetalk, musetalk_fast])
@pytest.mark.parametrize("which", ["unet", "decoder"])
def test_a_job_of_musetalk_whose_networks_overflow_fails_and_says_why(
    make: Callable[[], MuseTalkEngine], which: str, tmp_path: Path
) -> None:
    engine = own(make())
    reference = synthetic.reference(tmp_path)
    avatar = engine.prepare(reference, lambda _: None)
    overflow(getattr(engine.painter.networks, which))
    plan = engine.plan(avatar, synthetic.speech(0.2), timeline_of(0.2, 5))
    with pytest.raises(EngineFailed, match="no numbers"):
        engine.generate(plan, list(reference.frames(range(5))), range(5))
    engine.finish(plan)


def test_a_reference_that_was_encoded_without_numbers_is_not_kept(tmp_path: Path) -> None:
    engine = own(musetalk())
    overflow(engine.painter.networks.vae)
    with pytest.raises(EngineFailed, match="no numbers"):
        engine.prepare(synthetic.reference(tmp_path), lambda _: None)


def test_a_job_of_wav2lip_whose_network_overflows_fails_and_says_why(tmp_path: Path) -> None:
    network = wav2lip_network()
    overflow(network)
    with pytest.raises(EngineFailed, match="no numbers"):
        run(Wav2LipEngine(network, "cpu", []), tmp_path)


def own(engine: MuseTalkEngine) -> MuseTalkEngine:
    """The engine with networks that no other test has."""
    painter = engine.painter
    networks = copy.deepcopy(painter.networks)
    return MuseTalkEngine(networks, "cpu", networks.decoder is not networks.vae, [])


def overflow(network: nn.Module) -> None:
    for value in network.state_dict().values():
        if value.is_floating_point():
            value.fill_(float("inf"))
