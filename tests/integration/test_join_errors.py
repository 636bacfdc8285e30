"""Where the brokers refuse a member for good, the log names the setting that is wrong."""

from __future__ import annotations

import asyncio

from aiokafka import AIOKafkaConsumer
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from structlog.testing import capture_logs

from consumer.kafka.control import Cancellations
from consumer.kafka.handler import Handler
from consumer.kafka.subscriber import Intake
from consumer.settings import Settings
from tests.integration.lab import Lab, Work
from tests.support.capabilities import Can
from tests.support.work import until


async def _until_advised(settings: Settings, words: str) -> None:
    """Wait until an intake that cannot join gives advice with these words."""
    intake = Intake(settings, Handler(Work(), Cancellations(), settings.topics.retry), lambda: 1)
    with capture_logs() as said:
        starting = asyncio.create_task(intake.start())
        await until(lambda: any(words in str(line.get("advice")) for line in said))
        starting.cancel()
        await asyncio.wait((starting,))
    await intake.stop()


async def test_a_session_that_the_brokers_do_not_allow_is_said_by_its_setting(lab: Lab) -> None:
    lab.kafka.require(Can.GROUPS)
    short = {"KAFKA_SESSION_TIMEOUT_S": "0.4", "KAFKA_HEARTBEAT_S": "0.1"}
    await _until_advised(lab.settings(**short), "KAFKA_SESSION_TIMEOUT_S")


async def test_a_group_that_another_program_has_is_said_by_its_setting(lab: Lab) -> None:
    lab.kafka.require(Can.GROUPS)
    other = AIOKafkaConsumer(
        lab.topics.requests,
        bootstrap_servers=lab.kafka.servers,
        group_id=lab.kafka.group,
        partition_assignment_strategy=(RangePartitionAssignor,),
    )
    await other.start()
    try:
        await _until_advised(lab.settings(), "KAFKA_GROUP_ID")
    finally:
        await other.stop()
