"""A broker that somebody else started, in the place of the embedded one of `face2face dev`.

Apache's own client for Java cannot use librdkafka's mock cluster: it takes that broker's answer to
a version it does not know for a throttle of 20 minutes (ApiVersions v3 and later, 2.16). Nor can
kafka-python 3 (3.0.12); 2.3 can.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from consumer.local.startable import Startable
from consumer.settings.load import load


class OtherKafka(Startable):
    """Brokers at an address; topics are made there, and nothing is ever stopped or removed.

    Args:
        servers: host:port, comma-separated, of brokers that ask for no password.
    """

    def __init__(self, servers: str) -> None:
        self.servers = servers

    def start(self) -> None:
        """Nothing to start."""

    def make_topics(self, names: Iterable[str]) -> None:
        """Make topics as `face2face topics apply` does, with as many copies as brokers allow.

        Raises:
            SettingsError: the address is none.
            ClientFailed: no broker can be used.
            KafkaError: the brokers refused a change.
        """
        asyncio.run(self._apply(set(names)))

    async def _apply(self, names: set[str]) -> None:
        from consumer.kafka.topics_apply import admin, apply, brokers, plan
        from consumer.kafka.topics_file import default_path, read

        settings = load({"KAFKA_BOOTSTRAP_SERVERS": self.servers})
        wanted = read(default_path())
        async with admin(settings) as client:
            copies = min(wanted.replication_factor, await brokers(client))
            topics = wanted.named(settings.topic_prefix)
            chosen = {name: topic for name, topic in topics.items() if name in names}
            await apply(client, await plan(client, chosen, copies), copies)

    def stop(self) -> None:
        """Nothing to stop."""
