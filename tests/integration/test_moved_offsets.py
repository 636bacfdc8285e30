"""Where the log changes under the group, nothing is passed over in silence."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.integration.lab import Lab, Work, job, until
from tests.support.capabilities import Can


async def test_an_operators_reset_gives_all_records_again(lab: Lab) -> None:
    lab.kafka.require(Can.GROUPS)
    work = Work()
    await lab.send([{"value": job()} for _ in range(3)])
    async with lab.intake(work):
        await lab.until_committed(3)
    await _reset(lab, 1)
    again = Work()
    async with lab.intake(again):
        await again.until(lambda: len(again.finished) == 2)
        await lab.until_committed(3)
    assert [offset for _, _, offset in again.started] == [1, 2]


async def _reset(lab: Lab, offset: int) -> None:
    from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
    from confluent_kafka.admin import AdminClient

    admin = AdminClient({"bootstrap.servers": lab.kafka.servers})
    place = TopicPartition(lab.topics.requests, 0, offset)
    wanted = [ConsumerGroupTopicPartitions(lab.kafka.group, [place])]
    for future in admin.alter_consumer_group_offsets(wanted).values():
        future.result(timeout=120)


@pytest.mark.parametrize("unseen", [True, False])
async def test_a_topic_that_is_made_anew_is_read_from_its_first_record(
    lab: Lab, unseen: bool
) -> None:
    from confluent_kafka.admin import AdminClient
    from confluent_kafka.cimpl import NewTopic

    lab.kafka.require(Can.GROUPS, Can.ADMIN)
    topic, admin, work = (
        lab.topics.requests,
        AdminClient({"bootstrap.servers": lab.kafka.servers}),
        Work(),
    )
    await lab.send([{"value": job(gate="old")}, {"value": job()}, {"value": job()}])
    async with lab.intake(work) as intake:
        await until(lambda: _taken(lab))

        async def has_topic(wanted: bool) -> None:
            async def asked() -> bool:
                consumer = intake._subscriber.consumer
                assert consumer is not None
                consumer._client.force_metadata_update()  # else a minute may pass
                return (topic in intake.pump.facts()["partitions"]) is wanted

            await until(asked)

        admin.delete_topics([topic])[topic].result(120)
        if not unseen:
            await has_topic(False)
        admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(120)
        await lab.send([{"value": job()} for _ in range(2)])
        await has_topic(True)
        await work.until(lambda: len(work.finished) == 4)
        work.open("old")  # at offset 0 of the old topic: no news of the new one
        await work.until(lambda: len(work.finished) == 5)
        await lab.until_committed(2)
        await lab.send([{"value": job()}])
        await lab.until_committed(3)
    assert [offset for _, _, offset in work.finished] == [1, 2, 0, 1, 0, 2]


async def _taken(lab: Lab) -> bool:
    """True when the group has taken a commit that counts two records behind the first as done."""
    return 2 in (await lab.committed())[1]


async def test_records_that_the_topic_did_not_keep_until_they_were_done_are_told(lab: Lab) -> None:
    from confluent_kafka import TopicPartition as Place
    from confluent_kafka.admin import AdminClient

    lab.kafka.require(Can.ADMIN)
    work = Work()
    await lab.send([{"value": job()}] * 2)
    async with lab.intake(work):
        await lab.until_committed(2)
    await lab.send([{"value": job()}] * 7)
    admin = AdminClient({"bootstrap.servers": lab.kafka.servers, "log_level": 0})
    (gone,) = admin.delete_records([Place(lab.topics.requests, 0, 7)]).values()
    await asyncio.to_thread(gone.result, 120)
    with capture_logs() as said:
        async with lab.intake(work):
            await lab.until_committed(9)
            await until_said(said, "records were deleted before they were done")
    (told,) = [line for line in said if "were deleted" in line["event"]]
    assert (told["log_level"], told["records"], told["offset"]) == ("error", 5, 2)
    assert len(work.finished) == 4


async def test_records_that_are_deleted_under_a_replica_that_pauses_are_told(lab: Lab) -> None:
    from confluent_kafka import TopicPartition as Place
    from confluent_kafka.admin import AdminClient

    lab.kafka.require(Can.ADMIN)
    work, reason = Work(), ["the test's"]
    await lab.send([{"value": job()}] * 7)

    async def stands() -> bool:
        return any(place.topic == lab.topics.requests for place in intake.pump._read_to)

    with capture_logs() as said:
        async with lab.intake(work, blocked=lambda: reason[0] if reason else None) as intake:
            await until(stands)
            admin = AdminClient({"bootstrap.servers": lab.kafka.servers, "log_level": 0})
            (gone,) = admin.delete_records([Place(lab.topics.requests, 0, 5)]).values()
            await asyncio.to_thread(gone.result, 120)
            reason.clear()
            await lab.until_committed(7)
            await until_said(said, "records were deleted before they were done")
    (told,) = [line for line in said if "were deleted" in line["event"]]
    assert (told["records"], told["offset"]) == (5, 0)
    assert len(work.finished) == 2


async def until_said(said: list[Any], text: str) -> None:
    async def heard() -> bool:
        return any(text in line["event"] for line in said)

    await until(heard)
