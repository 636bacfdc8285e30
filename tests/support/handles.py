"""What a test holds of a server: its address, names of its own, and what it can do."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from schemas.topics import Topics
from tests.support.capabilities import Can, require
from tests.support.processes import wait_until
from tests.support.resolve import KafkaServer, S3Server


@dataclass(frozen=True)
class KafkaHandle:
    """A broker and a topic prefix that no other test has."""

    name: str
    servers: str
    """Bootstrap addresses, comma-separated."""
    capabilities: frozenset[Can]
    prefix: str

    @classmethod
    def fresh(cls, server: KafkaServer) -> KafkaHandle:
        """A handle with a new prefix."""
        prefix = f"t{uuid.uuid4().hex[:12]}"
        return cls(server.name, server.servers, server.capabilities, prefix)

    @property
    def topics(self) -> Topics:
        """Names of the service's topics under the prefix."""
        return Topics(self.prefix)

    @property
    def group(self) -> str:
        """A consumer group that no other test has."""
        return f"{self.prefix}-group"

    @property
    def env(self) -> dict[str, str]:
        """Settings of the service for this broker."""
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.servers,
            "KAFKA_GROUP_ID": self.group,
            "F2F_TOPIC_PREFIX": self.prefix,
        }

    def require(self, *needed: Can) -> None:
        """Go on only when the broker can do all this; else skip or fail with the reason."""
        require(self.name, self.capabilities, needed)

    def create_topics(
        self, partitions: Mapping[str, int] | None = None, config: Mapping[str, str] | None = None
    ) -> None:
        """Make topics: those named with their partitions, or all of the service with one each.

        The embedded broker makes topics when they are first named, always with four partitions.
        """
        from confluent_kafka.admin import AdminClient
        from confluent_kafka.cimpl import NewTopic

        wanted = dict(partitions) if partitions else dict.fromkeys(self.topics.all(), 1)
        admin = AdminClient({"bootstrap.servers": self.servers, "log_level": 0})
        if Can.ADMIN not in self.capabilities:
            for name in wanted:
                admin.list_topics(name, timeout=120)
            return
        made = admin.create_topics(
            [NewTopic(n, p, 1, config=dict(config or {})) for n, p in wanted.items()]
        )
        for future in made.values():
            future.result(timeout=120)
        until_shown(admin, wanted)

    def delete_topics(self) -> None:
        """Remove every topic under the prefix, so that a long run does not slow the broker."""
        from confluent_kafka import KafkaError, KafkaException
        from confluent_kafka.admin import AdminClient

        if Can.ADMIN not in self.capabilities:
            return
        admin = AdminClient({"bootstrap.servers": self.servers, "log_level": 0})
        mine = [name for name in admin.list_topics(timeout=120).topics if self.prefix in name]
        if mine:
            for future in admin.delete_topics(mine).values():
                try:
                    future.result(timeout=120)
                except KafkaException as error:
                    if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                        raise  # else the test had removed it itself, and a broker showed it still


def until_shown(admin: Any, names: Iterable[str]) -> None:
    """Wait until the broker that answers clients shows topics; the controller has them earlier."""
    wanted = set(names)
    wait_until(lambda: wanted <= set(admin.list_topics(timeout=120).topics), 120, "new topics")


def _pool() -> Any:
    """As the SDK's own, but that it does not sleep for a minute where a busy server asks for it."""
    import urllib3

    return urllib3.PoolManager(
        timeout=urllib3.Timeout(connect=60, read=60),
        maxsize=10,
        retries=urllib3.Retry(
            total=8,
            backoff_factor=0.2,
            status_forcelist=[500, 502, 503, 504],
            respect_retry_after_header=False,
        ),
    )


@dataclass(frozen=True)
class S3Handle:
    """A store and a bucket that no other test has."""

    name: str
    endpoint: str
    access_key: str
    secret_key: str
    capabilities: frozenset[Can]
    bucket: str

    @classmethod
    def fresh(cls, server: S3Server) -> S3Handle:
        """A handle with a new, empty bucket."""
        bucket = f"t{uuid.uuid4().hex[:16]}"
        handle = cls(
            server.name,
            server.endpoint,
            server.access_key,
            server.secret_key,
            server.capabilities,
            bucket,
        )
        handle.client().make_bucket(bucket)
        return handle

    @property
    def env(self) -> dict[str, str]:
        """Settings of the service for this store."""
        return {
            "S3_ENDPOINT": self.endpoint,
            "S3_ACCESS_KEY": self.access_key,
            "S3_SECRET_KEY": self.secret_key,
            "S3_BUCKET": self.bucket,
        }

    def require(self, *needed: Can) -> None:
        """Go on only when the store can do all this; else skip or fail with the reason."""
        require(self.name, self.capabilities, needed)

    def client(self) -> Any:
        """A `minio.Minio` of the store: the test's own view, beside the service's."""
        from minio import Minio

        scheme, _, host = self.endpoint.partition("://")
        return Minio(
            host,
            access_key=self.access_key,
            secret_key=self.secret_key,
            secure=scheme == "https",
            region="us-east-1",
            http_client=_pool(),
        )

    def keys(self, prefix: str = "") -> list[str]:
        """Keys of all objects in the bucket under a prefix, sorted."""
        found = self.client().list_objects(self.bucket, prefix=prefix, recursive=True)
        return sorted(entry.object_name for entry in found)
