"""The fit of a person, on people whose law of motion is known because the test made it up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from fractions import Fraction

import pytest
import torch
from torch import Tensor

from pipeline.reading.audio import Speech
from pipeline.speech.activity import loudness
from pipeline.speech.fit import fit_person
from pipeline.speech.grid import at_times, gaussian
from pipeline.speech.mouth import Hearing, listen, plan_heard
from pipeline.speech.ridge import agreement, choose, solve
from tests.pipeline.speech.sounds import demo, music, silence, speech

FPS = Fraction(25)


@pytest.fixture(scope="module")
def talk() -> Speech:
    """Thirteen seconds: the demo's words at two speeds."""
    words = demo().samples
    faster = torch.nn.functional.interpolate(words[None, None], scale_factor=0.9)[0, 0]
    return speech(torch.cat([words, silence(0.4), faster]))


@pytest.fixture(autouse=True, scope="module")
def _listen_once() -> Iterator[None]:
    """Every sound is really heard, but only once: the recogniser is the slow part."""
    heard: dict[int, tuple[Speech, Hearing]] = {}

    def once(sound: Speech) -> Hearing:
        if id(sound) not in heard:
            heard[id(sound)] = (sound, listen(sound))
        return heard[id(sound)][1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipeline.speech.fit.listen", once)
        yield


def times(count: int, late: float = 0.0) -> Tensor:
    return (torch.arange(count, dtype=torch.float64) + 0.5) / 25 + 0.03 + late


def person(talk: Speech, late: float = 0.0, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """A mouth that follows the voice's loudness much more than the table thinks."""
    heard = listen(talk)
    table = plan_heard(heard)
    count = int(talk.duration * 25)
    law = 0.2 * table.openness + 0.8 * gaussian(loudness(heard.level), 0.04).square() * table.cap
    shape = at_times(torch.stack([law, table.width, table.jaw]), times(count, late)).float()
    generator = torch.Generator().manual_seed(seed)
    shape = shape + 0.08 * torch.randn(shape.shape, generator=generator)
    return 0.16 * shape[0].clamp(min=0), 0.58 + 0.06 * shape[1], 200 + 9 * shape[2]


def usable(count: int) -> Tensor:
    return torch.ones(count, dtype=torch.bool)


def test_the_fit_predicts_unseen_speech_better_than_the_table(talk: Speech) -> None:
    ap, w, jaw = person(talk)
    seen = usable(len(ap))
    seen[len(ap) // 2 :] = False
    fit = fit_person(talk, ap, w, jaw, seen, FPS)
    assert fit is not None
    assert fit.r_fit > fit.r_table
    at = times(len(ap))
    unseen = ~seen
    own, table = fit.apply(talk), plan_heard(listen(talk))
    r_own = torch.corrcoef(torch.stack([at_times(own.capped, at)[unseen], ap[unseen]]))[0, 1]
    r_table = torch.corrcoef(torch.stack([at_times(table.capped, at)[unseen], ap[unseen]]))[0, 1]
    assert float(r_own) > float(r_table) + 0.03


def test_closures_stay_hard_and_curves_in_range(talk: Speech) -> None:
    ap, w, jaw = person(talk)
    fit = fit_person(talk, ap, w, jaw, usable(len(ap)), FPS)
    assert fit is not None
    curve = fit.apply(demo())
    assert curve.closures == plan_heard(listen(demo())).closures
    assert float(curve.capped[curve.cap == 0].max()) == 0
    assert float(curve.openness.min()) >= 0
    assert float(curve.openness.max()) <= 1
    assert float(curve.width.abs().max()) <= 1


def test_a_late_sound_track_is_set_right(talk: Speech) -> None:
    ap, w, jaw = person(talk, late=0.18)
    fit = fit_person(talk, ap, w, jaw, usable(len(ap)), FPS)
    assert fit is not None
    assert 0.13 <= fit.offset_s <= 0.21


def test_a_small_difference_is_learnt_as_the_persons_own_timing(talk: Speech) -> None:
    ap, w, jaw = person(talk, late=0.04)
    fit = fit_person(talk, ap, w, jaw, usable(len(ap)), FPS)
    assert fit is not None
    assert fit.offset_s == 0
    at = times(len(ap))
    read = [at_times(fit.apply(talk).openness, at + late / 100) for late in (-4, 0, 4, 8)]
    agreements = [float(torch.corrcoef(torch.stack([each, ap]))[0, 1]) for each in read]
    assert max(agreements) == agreements[1]


def test_a_mouth_that_does_not_belong_to_the_sound_is_not_learnt(talk: Speech) -> None:
    ap, w, jaw = person(talk)
    count = len(ap)
    assert fit_person(talk, ap.flip(0), w.flip(0), jaw.flip(0), usable(count), FPS) is None
    song = speech(music(float(talk.duration)))
    assert fit_person(song, ap, w, jaw, usable(count), FPS) is None
    quiet = speech(silence(float(talk.duration)))
    assert fit_person(quiet, ap, w, jaw, usable(count), FPS) is None


def test_too_little_and_still_mouths_are_not_learnt(talk: Speech) -> None:
    ap, w, jaw = person(talk)
    few = usable(len(ap))
    few[60:] = False
    assert fit_person(talk, ap, w, jaw, few, FPS) is None
    still = torch.full_like(ap, 0.02)
    assert fit_person(talk, still, w, jaw, usable(len(ap)), FPS) is None
    lost = torch.full_like(ap, float("nan"))
    assert fit_person(talk, lost, w, jaw, usable(len(ap)), FPS) is None


@pytest.mark.parametrize("sigma", [0.15, 0.25])
def test_a_laugh_that_passes_for_speech_within_four_seconds_teaches_nothing(
    talk: Speech, sigma: float
) -> None:
    """Its neighbouring fifths foretell each other, its halves do not."""
    _, w, jaw = person(talk)
    generator = torch.Generator().manual_seed(4)
    slow = gaussian(torch.randn(len(w) * 4, generator=generator), sigma)[::4]
    ap = 0.08 + 0.035 * slow / slow.std() + 0.004 * torch.randn(len(w), generator=generator)
    few = usable(len(w))
    few[105:] = False
    fit = fit_person(talk, ap.clamp(min=0), w, jaw, few, FPS)
    assert fit is None or float(fit.blend[0]) < 0.1


def test_held_out_predictions_know_nothing_of_their_block() -> None:
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(300, 36, generator=generator, dtype=torch.float64)
    y = torch.randn(300, 1, generator=generator, dtype=torch.float64)
    at = torch.arange(300, dtype=torch.float64) / 25
    chosen = choose(x, y, at)
    assert float(chosen.penalties[0]) == 0.3  # the strongest: there is nothing to learn
    weak = solve(x, y, torch.tensor([0.003], dtype=torch.float64))
    assert float(agreement(weak(x), y)) > 0.3  # it fits noise that it has seen
    assert abs(float(agreement(chosen.guess, y))) < 0.2


def test_few_rows_and_many_columns_are_solved_as_many_rows_are() -> None:
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(40, 60, generator=generator, dtype=torch.float64)
    y = torch.randn(40, 2, generator=generator, dtype=torch.float64)
    penalties = torch.tensor([0.01, 0.1], dtype=torch.float64)
    centred = x - x.mean(0)
    gram = centred.T @ centred
    found = solve(x, y, penalties)
    for k in range(2):
        ridge = gram + penalties[k] * gram.trace() * torch.eye(60, dtype=torch.float64)
        expected = torch.linalg.solve(ridge, centred.T @ (y[:, k] - y[:, k].mean()))
        assert torch.allclose(found.weights[:, k], expected, atol=1e-8)
    again = solve(torch.cat([x, x]), torch.cat([y, y]), penalties)
    assert torch.allclose(again.weights, found.weights, atol=1e-8)


def test_a_fit_is_tensors_and_numbers_alone(talk: Speech) -> None:
    ap, w, jaw = person(talk)
    fit = fit_person(talk, ap, w, jaw, usable(len(ap)), FPS)
    assert fit is not None
    kept = [getattr(fit, field.name) for field in fields(fit) if field.name != "ridge"]
    kept += [getattr(fit.ridge, field.name) for field in fields(fit.ridge)]
    assert all(isinstance(value, float | Tensor) for value in kept)
    assert sum(v.numel() * v.element_size() for v in kept if isinstance(v, Tensor)) < 64_000
