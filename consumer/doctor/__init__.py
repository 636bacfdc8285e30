"""Checks of everything that the service needs around it: brokers, topics, store, disk, settings.

Each check is a function of the settings that says what it found and what to do
(`consumer.doctor.brokers`, `store`, `machine`); none changes anything, and none stops another one
from running.
"""

from __future__ import annotations

import asyncio

from consumer.doctor.brokers import kafka
from consumer.doctor.findings import Check, Finding
from consumer.doctor.machine import disk, slots
from consumer.doctor.store import store
from consumer.kafka.connecting import CONNECT_S
from consumer.settings import Settings

TIMEOUT_S = CONNECT_S + 5.0
CHECKS: tuple[Check, ...] = (kafka, store, disk, slots)


async def examine(settings: Settings) -> list[Finding]:
    """Run all checks side by side; findings in the order of the checks."""
    found = await asyncio.gather(*(_guarded(check, settings) for check in CHECKS))
    return [finding for findings in found for finding in findings]


async def _guarded(check: Check, settings: Settings) -> list[Finding]:
    name = check.__name__
    try:
        return await asyncio.wait_for(check(settings), TIMEOUT_S)
    except TimeoutError:
        place = {"kafka": ", ".join(settings.kafka_servers), "store": settings.s3_endpoint}
        text = f"{place.get(name, name)}: no answer within {TIMEOUT_S:g} s"
        return [Finding(name, "bad", text, "Check the network.")]
