"""The range of a mouth is the person's own, or people's where nothing is known."""

from __future__ import annotations

import itertools

import torch

from pipeline.speech.mouth_range import MouthRange
from pipeline.speech.targets import MouthTargets

USUAL_TOP = 0.171
"""Mean of the tops of seventeen people who are seen speaking, io."""


def talking(frames: int = 200) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    at = torch.linspace(0, 40, frames)
    return 0.08 + 0.08 * torch.sin(at), 0.58 + 0.05 * torch.cos(at), torch.ones(frames).bool()


def targets(openness: list[float], rest: list[float], closed: list[bool]) -> MouthTargets:
    n = len(openness)
    return MouthTargets(
        openness=torch.tensor(openness),
        width=torch.linspace(-1, 1, n),
        jaw=torch.tensor(openness),
        closed=torch.tensor(closed),
        activity=torch.ones(n),
        rest=torch.tensor(rest),
    )


def test_a_talking_face_gives_its_own_range() -> None:
    mouth = MouthRange.from_track(*talking())
    assert mouth.talks
    assert 0.15 < mouth.top < 0.17
    assert mouth.narrow < mouth.middle < mouth.wide


def test_who_talks_with_lips_always_apart_still_shuts_them_in_pauses() -> None:
    ap, w, usable = talking()
    assert MouthRange.from_track(ap + 0.1, w, usable).rest <= 0.015


def test_a_silent_face_gets_a_range_around_its_resting_mouth() -> None:
    mouth = MouthRange.from_track(
        torch.full((100,), 0.01), torch.full((100,), 0.6), torch.ones(100).bool()
    )
    assert not mouth.talks
    assert abs(mouth.top - 0.16) < 1e-6
    assert abs(mouth.rest - 0.01) < 1e-6
    assert mouth.narrow < 0.6 < mouth.wide


def test_a_face_that_is_not_seen_speaking_rounds_its_mouth_as_people_do() -> None:
    said = targets([0.3] * 3, [0.0, 1.0, 0.0], [False] * 3)  # rounded, a pause, spread
    rounded, pause, spread = MouthRange.silent(0.01, 0.55).path(said).width.tolist()
    assert 0.65 < rounded / 0.55 < 0.80
    assert abs(pause - 0.55) < 1e-6 < spread - pause


def test_a_face_that_is_not_seen_speaking_opens_about_as_far_as_people_who_are() -> None:
    for rest in (0.0, 0.01, 0.02):
        assert 0.85 * USUAL_TOP < MouthRange.silent(rest, 0.6).top <= USUAL_TOP


def test_a_mouth_that_rests_open_has_room_to_open_and_its_teeth_are_not_stretched_to_it() -> None:
    for rest in (0.07, 0.15):
        mouth = MouthRange.silent(rest, 0.6)
        assert mouth.top - mouth.rest > 0.05
        assert mouth.top < 1.8 * rest


def test_no_silent_range_jumps_by_how_far_a_mouth_rests_open() -> None:
    tops = [MouthRange.silent(n / 1000, 0.6).top for n in range(150)]
    assert all(abs(one - next_one) < 0.002 for one, next_one in itertools.pairwise(tops))


def test_no_range_jumps_where_it_is_hard_to_say_whether_somebody_talks() -> None:
    ap, w, usable = talking()
    ranges = [
        MouthRange.from_track(0.06 + scale * (ap - 0.08), w, usable)
        for scale in torch.linspace(0, 0.6, 121).tolist()
    ]
    assert [mouth.talks for mouth in ranges[::120]] == [False, True]
    for one, next_one in itertools.pairwise(ranges):
        assert abs(one.rest - next_one.rest) < 0.003
        assert abs(one.top - next_one.top) < 0.003


def test_frames_without_a_usable_face_do_not_count() -> None:
    ap, w, usable = talking()
    ap[:50], w[50:60], usable[:50] = 9.0, float("nan"), False
    assert MouthRange.from_track(ap, w, usable).top < 0.2
    nothing = MouthRange.from_track(ap, w, torch.zeros(200).bool())
    assert not nothing.talks
    assert nothing.top > 0


def test_targets_become_distances_of_this_face() -> None:
    mouth = MouthRange.from_track(*talking())
    path = mouth.path(targets([1.0, 0.5, 0.0], [0, 0, 0], [False, False, True]))
    assert abs(float(path.aperture[0]) - mouth.top) < 1e-6
    assert float(path.aperture[2]) == 0
    assert abs(float(path.width[0]) - mouth.narrow) < 1e-6
    assert abs(float(path.width[1]) - mouth.middle) < 1e-6
    assert abs(float(path.width[2]) - mouth.wide) < 1e-6


def test_silence_is_the_resting_mouth_and_a_closure_wins_over_it() -> None:
    mouth = MouthRange.silent(0.03, 0.6)
    path = mouth.path(targets([0.0, 0.0, 0.4], [1, 1, 1], [False, True, False]))
    assert abs(float(path.aperture[0]) - 0.03) < 1e-6
    assert float(path.aperture[1]) == 0
    assert abs(float(path.aperture[2]) - 0.03) < 1e-6
    assert torch.allclose(path.width, torch.full((3,), 0.6))
