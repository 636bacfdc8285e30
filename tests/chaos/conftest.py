"""Fixtures of the chaos: a seed that is printed, a rig, and a table of promises at the end."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.chaos.rig import Rig
from tests.chaos.scale import Scale, chosen
from tests.support.capabilities import Can
from tests.support.handles import KafkaHandle, S3Handle

Row = Callable[[str, str, str], None]
_ROWS: list[tuple[str, str, str]] = []
_SEED = int(os.environ.get("F2F_SEED", "0")) or random.SystemRandom().randrange(1, 10**9)
FULL_TIMEOUT_S, LONG_TIMEOUT_S = 3600, 4 * 3600


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Scenarios of a full or long run may take longer than other tests."""
    limit = {"full": FULL_TIMEOUT_S, "long": LONG_TIMEOUT_S}.get(chosen().name)
    for item in items:
        if limit and Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(limit))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the seed and the table."""
    if not _ROWS:
        return
    terminalreporter.section(f"chaos, F2F_CHAOS={chosen().name} F2F_SEED={_SEED}")
    widths = [max(len(row[n]) for row in _ROWS) for n in range(3)]
    for row in [("promise", "figure", "reached"), *_ROWS]:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        terminalreporter.write_line("| " + " | ".join(cells) + " |")


@pytest.fixture
def seed() -> int:
    """Of all dice; `F2F_SEED` sets it."""
    print(f"F2F_SEED={_SEED}")  # noqa: T201 - shown when the test fails
    return _SEED


@pytest.fixture
def dice(seed: int, request: pytest.FixtureRequest) -> random.Random:
    """Dice of this test, the same for the same seed."""
    return random.Random(f"{seed}/{request.node.name}")


@pytest.fixture
def scale() -> Scale:
    """Sizes of this run."""
    return chosen()


@pytest.fixture
def row() -> Row:
    """Enters a line of the table: promise, figure, what was reached."""
    return lambda promise, figure, reached: _ROWS.append((promise, figure, reached))


@pytest.fixture
def rig(kafka: KafkaHandle, s3: S3Handle, tmp_path: Path) -> Iterator[Rig]:
    """A platform on the servers of this run."""
    kafka.require(Can.GROUPS, Can.ADMIN)
    s3.require(Can.CONDITIONAL_PUT)
    made = Rig(kafka, s3, tmp_path)
    try:
        yield made
    finally:
        made.close()
