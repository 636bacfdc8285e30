"""The two halves of the suite are the whole of it."""

from __future__ import annotations

from tests.support.halves import TESTS, WAITING, command, folders, status


def test_both_halves_together_are_every_test() -> None:
    waiting, computing = folders()
    assert sorted(waiting) == sorted(WAITING)
    assert not set(waiting) & set(computing)
    every = {path.relative_to(TESTS).parts[0] for path in TESTS.rglob("test_*.py")}
    assert every == set(waiting) | set(computing), "a test beside the folders would never run"


def test_a_half_is_run_by_its_folders_and_takes_the_options_of_both() -> None:
    assert command(["chaos", "consumer"], ["-x"])[1:] == [
        "-m",
        "pytest",
        "tests/chaos",
        "tests/consumer",
        "-x",
    ]


def test_a_failure_of_either_half_is_one_of_the_suite() -> None:
    nothing = 5
    assert status(0, 0) == 0
    assert status(0, 1) == 1
    assert status(2, 0) == 2
    assert status(-9, 0) == -9, "killed"
    assert status(0, nothing) == status(nothing, 0) == 0, "options chose tests of one half alone"
    assert status(nothing, nothing) == nothing
