"""Topics that lack in-sync replicas hold what is sent, and it is said why."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from structlog.testing import capture_logs

from consumer.kafka import producing
from consumer.kafka.publisher import Publisher
from consumer.kafka.topics_apply import Change, admin, apply
from consumer.settings.load import load
from schemas.codes import ErrorCode, Stage
from schemas.events import Failed
from schemas.render import ErrorFacts
from tests.integration.lab import until
from tests.support.handles import KafkaHandle
from tests.support.kafka import KafkaCluster

pytestmark = pytest.mark.slow
ERROR = ErrorFacts(code=ErrorCode.INTERNAL, stage=Stage.ADMIT, message="no", retryable=True)


async def test_too_few_in_sync_replicas_are_said_while_an_outcome_waits_and_it_goes_out_after(
    cluster: KafkaCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(producing, "OVERDUE_S", 1.0)
    kafka = KafkaHandle.fresh(cluster)
    settings = load(kafka.env)
    topic = kafka.topics.failed
    async with admin(settings) as client:
        await apply(client, [Change(topic, "create", 1, config={"min.insync.replicas": "3"})], 3)
    publisher = Publisher(settings)
    await publisher.start()
    event = Failed(job_id="j", error=ERROR, attempt=1, max_attempts=3, failed_at=datetime.now(UTC))
    try:
        await asyncio.wait_for(publisher.failed(event, "before", None), 120)
        await asyncio.to_thread(cluster.nodes[-1].stop)
        with capture_logs() as lines:
            sending = asyncio.create_task(publisher.failed(event, "meanwhile", None))

            async def said() -> bool:
                return "min.insync.replicas" in str(publisher.trouble)

            await until(said)
            assert [line for line in lines if "NotEnoughReplicas" in str(line.get("error"))]
            await asyncio.to_thread(cluster.nodes[-1].start)
            await asyncio.wait_for(sending, 120)
        assert publisher.trouble is None
    finally:
        await publisher.stop()
