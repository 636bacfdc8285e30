"""What each replica of a group is given."""

from __future__ import annotations

from tests.integration.lab import Lab, Work, job, until
from tests.support.capabilities import Can
from tests.support.handles import KafkaHandle


async def test_a_second_replica_takes_requests_and_not_the_retry_topic_alone(
    kafka: KafkaHandle,
) -> None:
    kafka.require(Can.GROUPS, Can.ADMIN)
    topics = kafka.topics
    kafka.create_topics({**dict.fromkeys(topics.all(), 1), topics.requests: 4, topics.retry: 4})
    lab = Lab(kafka)
    first, second = Work(), Work()
    async with lab.intake(first) as one, lab.intake(second) as two:
        wanted = {topics.requests: 2, topics.retry: 2}

        async def shared() -> bool:
            told = [each.pump.facts()["partitions"] for each in (one, two)]
            return all({t: len(p) for t, p in has.items()} == wanted for has in told)

        await until(shared)
        await lab.send([{"value": job(), "partition": n % 4} for n in range(8)])
        await first.until(lambda: len(first.finished) == 4)
        await second.until(lambda: len(second.finished) == 4)
