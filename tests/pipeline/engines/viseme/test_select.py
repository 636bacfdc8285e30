"""Unit selection: costs, joins, and blocks."""

from __future__ import annotations

from dataclasses import replace

import torch

from pipeline.engines.viseme import select as module
from pipeline.engines.viseme.plan import crossfades
from pipeline.engines.viseme.select import ALIKE, Candidates, Wanted, fitness, joins, select
from pipeline.engines.viseme.viterbi import cheapest, moves_of, neighbours
from pipeline.faces.appearance import COMPLEXION


def _units(apertures: list[float], run: list[int] | None = None) -> Candidates:
    count = len(apertures)
    generator = torch.Generator().manual_seed(1)
    return Candidates(
        frame=torch.arange(count),
        run=torch.tensor(run or [0] * count),
        aperture=torch.tensor(apertures),
        width=torch.full((count,), 0.55),
        pose=torch.zeros(count, 3),
        complexion=torch.zeros(count, COMPLEXION),
        penalty=torch.zeros(count),
        look=torch.rand(count, 16, generator=generator),
    )


def _wanted(apertures: list[float]) -> Wanted:
    count = len(apertures)
    return Wanted(
        torch.tensor(apertures),
        torch.full((count,), 0.55),
        torch.zeros(count, 3),
        torch.zeros(count, COMPLEXION),
        torch.ones(count),
    )


def test_reference_is_replayed_when_it_does_what_is_wanted() -> None:
    apertures = [0.0, 0.03, 0.08, 0.12, 0.08, 0.03, 0.0, 0.05, 0.1]
    units = _units(apertures)
    assert select(units, _wanted(apertures), joins(units)).tolist() == list(range(9))


def test_a_mouth_does_not_tremble_between_neighbours() -> None:
    units = _units([0.08, 0.10, 0.30])
    found = select(units, _wanted([0.08, 0.10] * 10), joins(units))
    step = found.diff()
    assert not bool(((step[1:] * step[:-1]) < 0).any())


def test_lips_of_another_person_are_lent_by_nobody_who_has_others() -> None:
    apertures = [0.0, 0.03, 0.06, 0.09] * 2
    mine, theirs = torch.zeros(COMPLEXION), torch.tensor(ALIKE) * torch.tensor([0, 0, 3, 0, 0, 0])
    units = _units(apertures, [0] * 4 + [1] * 4)
    units = replace(units, complexion=torch.stack([mine] * 4 + [theirs] * 4))
    wanted = _wanted([0.09, 0.06, 0.03, 0.0] * 2)
    wanted = replace(wanted, complexion=torch.stack([theirs] * 4 + [mine] * 4))
    found = select(units, wanted, joins(units))
    assert (found[:4] >= 4).all()
    assert (found[4:] < 4).all()


def test_a_mouth_is_lent_as_if_to_itself_within_what_light_and_speech_do() -> None:
    units, wanted = _units([0.0, 0.1]), _wanted([0.05] * 3)
    plain = fitness(units, wanted)
    shaded = 0.99 * torch.tensor(ALIKE).expand(3, -1)
    torch.testing.assert_close(
        fitness(units, replace(wanted, complexion=shaded)), plain, atol=0, rtol=0
    )
    strange = fitness(units, replace(wanted, complexion=2 * shaded))
    assert (strange > plain + 10).all()


def test_a_reference_is_run_through_backwards_where_that_suits() -> None:
    apertures = [0.0, 0.03, 0.06, 0.09, 0.12, 0.15]
    units = _units(apertures)
    found = select(units, _wanted([*apertures, *apertures[::-1]]), joins(units)).tolist()
    assert found == [0, 1, 2, 3, 4, 5, 5, 4, 3, 2, 1, 0]


def test_frames_that_are_missing_between_candidates_are_stepped_over() -> None:
    near = neighbours(torch.tensor([3, 5, 6, 9]), torch.zeros(4))
    assert near[2].tolist() == [-1, 0, -1, -1]
    assert near[1].tolist() == [-1, -1, 1, -1]
    assert near[-1].tolist() == [-1, 2, -1, -1]
    assert near[0].tolist() == [0, 1, 2, 3]


def test_closure_is_taken_from_a_closed_mouth() -> None:
    units = _units([0.1] * 10 + [0.0])
    found = select(units, _wanted([0.1, 0.1, 0.0, 0.0, 0.1, 0.1]), joins(units)).tolist()
    assert found[2] == found[3] == 10


def test_an_opening_is_not_taken_from_a_mouth_that_shows_nothing_of_its_inside() -> None:
    cost = fitness(_units([0.004, 0.065]), _wanted([0.032, 0.012]))
    assert cost[0, 1] < cost[0, 0]
    assert cost[1, 0] < cost[1, 1]  # a slit shows none anyway


def test_turned_and_blurred_frames_cost_more() -> None:
    units = _units([0.05, 0.05, 0.05])
    units.pose[1, 0] = 20.0
    units.penalty[2] = 3.0
    cost = fitness(units, _wanted([0.05]))[0]
    assert cost[0] < cost[2] < cost[1]


def test_neighbours_across_a_cut_are_no_neighbours() -> None:
    join = joins(_units([0.05] * 4, run=[0, 0, 1, 1]))
    assert join[0, 1] == join[2, 3] == 0
    assert join[1, 2] > 1


def test_blocks_find_what_one_piece_finds() -> None:
    generator = torch.Generator().manual_seed(2)
    units = _units((0.15 * torch.rand(40, generator=generator)).tolist())
    wanted = _wanted((0.15 * torch.rand(300, generator=generator)).tolist())
    join = joins(units)
    whole = cheapest(fitness(units, wanted), moves_of(units.frame, units.run, join), None) % 40
    old = module.BLOCK, module.OVERLAP
    try:
        module.BLOCK, module.OVERLAP = 64, 64
        pieces = select(units, wanted, join)
    finally:
        module.BLOCK, module.OVERLAP = old
    assert (whole != pieces).float().mean() < 0.02


def test_units_are_crossfaded_around_jumps_only() -> None:
    first = torch.tensor([3, 4, 5, 20, 21, 22])
    second, share = crossfades(first, torch.arange(30), torch.zeros(30, dtype=torch.int64))
    assert share.tolist() == [0, 0, 0.25, 0.25, 0, 0]
    assert second[2:4].tolist() == [19, 6]
