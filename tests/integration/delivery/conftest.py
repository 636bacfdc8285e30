"""Topics of one partition, so that order is known, and a publisher to them."""

from __future__ import annotations

from typing import Any

import pytest

from consumer.kafka.publisher import Publisher
from tests.integration.lab import Lab
from tests.support.capabilities import Can
from tests.support.handles import KafkaHandle


@pytest.fixture
def lab(kafka: KafkaHandle) -> Lab:
    kafka.require(Can.ADMIN)  # topics of one partition, so that order is known
    kafka.create_topics()
    return Lab(kafka)


@pytest.fixture
async def publisher(lab: Lab) -> Any:
    made = Publisher(lab.settings())
    await made.start()
    yield made
    await made.stop()
