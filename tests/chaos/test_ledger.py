"""The ledger alone, over more histories than servers could live through in a day."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis.stateful import invariant, run_state_machine_as_test

from tests.chaos.conftest import Row
from tests.chaos.scale import Scale
from tests.support.partition_model import LedgerMachine

pytestmark = pytest.mark.chaos
STEPS = 60


def test_the_ledger_holds_whatever_hypothesis_does_to_its_partition(
    scale: Scale, row: Row, dice: random.Random
) -> None:
    steps = 0

    class Counted(LedgerMachine):
        @invariant()
        def counts(self) -> None:
            nonlocal steps
            steps += 1

    limits = settings(
        max_examples=scale.ledger_lives,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    seed(dice.randrange(2**32))(Counted)
    run_state_machine_as_test(Counted, settings=limits)
    assert steps > scale.ledger_lives
    row(
        "ledger: Hypothesis state machine",
        "100,000 steps, 0 violations",
        f"{steps:,} steps in {scale.ledger_lives:,} lives, 0",
    )
