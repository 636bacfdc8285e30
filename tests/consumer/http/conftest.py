"""A gateway with the service behind it, and one without."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from consumer.settings import Settings
from consumer.settings.load import load
from tests.consumer.http.stand import Gateway, gateway, service
from tests.support.handles import KafkaHandle, S3Handle


@pytest.fixture
def settings(kafka: KafkaHandle, s3: S3Handle, service_env: dict[str, str]) -> Settings:
    kafka.create_topics()
    return load(
        {
            **service_env,
            "F2F_ALLOW_LOOPBACK_INPUTS": "1",
            "F2F_MAX_INPUT_BYTES": "2000000",
            "CLEANUP_DELAY": "0",
            "F2F_MIN_FREE_BYTES": "0",
        }
    )


@pytest.fixture
async def bridge(settings: Settings) -> AsyncIterator[Gateway]:
    """A gateway with the service behind it."""
    async with service(settings), gateway(settings) as made:
        yield made


@pytest.fixture
async def alone(settings: Settings) -> AsyncIterator[Gateway]:
    """A gateway without a service: what is sent stays queued."""
    async with gateway(settings) as made:
        yield made
