"""The parts of the suite are the whole of it."""

from __future__ import annotations

from tests.support.parts import TESTS, WAITING, command, folders, status


def test_all_parts_together_are_every_test_once() -> None:
    waiting, computing = folders()
    assert waiting == [sorted(part) for part in WAITING]
    run = [*(name for part in waiting for name in part), *computing]
    assert len(run) == len(set(run))
    every = {path.relative_to(TESTS).parts[0] for path in TESTS.rglob("test_*.py")}
    assert every == set(run), "a test beside the folders would never run"


def test_a_part_is_run_by_its_folders_and_takes_the_options_of_all() -> None:
    assert command(["chaos", "consumer"], ["-x"])[1:] == [
        "-m",
        "pytest",
        "tests/chaos",
        "tests/consumer",
        "-x",
    ]


def test_a_failure_of_any_part_is_one_of_the_suite() -> None:
    nothing = 5
    assert status(0, 0, 0) == 0
    assert status(0, 1, 0) == 1
    assert status(2, 0, 1) == 2
    assert status(0, -9, 0) == -9, "killed"
    assert status(0, nothing) == status(nothing, 0) == 0, "options chose tests of one part alone"
    assert status(nothing, nothing) == nothing
