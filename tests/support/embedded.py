"""The embedded servers of `face2face dev`, in the shape that tests use."""

from __future__ import annotations

from consumer.local.embedded import EmbeddedKafka, EmbeddedS3
from tests.support.capabilities import Can


class EmbeddedKafkaServer:
    """librdkafka's mock cluster: one member per group, no admin calls, no look-up by time."""

    name = "embedded broker (librdkafka mock cluster)"
    capabilities: frozenset[Can] = frozenset()

    def __init__(self) -> None:
        self._server = EmbeddedKafka()

    @property
    def servers(self) -> str:
        """Bootstrap address."""
        return self._server.servers

    def start(self) -> None:
        """Start it in this process."""
        self._server.start()

    def stop(self) -> None:
        """Close it."""
        self._server.stop()


class EmbeddedS3Server:
    """moto: signatures unchecked, lifecycle rules stored and never executed."""

    name = "embedded S3 (moto)"
    capabilities = frozenset({Can.LIFECYCLE, Can.CONDITIONAL_PUT})

    def __init__(self) -> None:
        self._server = EmbeddedS3(bucket=None)
        self.access_key = self._server.access_key
        self.secret_key = self._server.secret_key

    @property
    def endpoint(self) -> str:
        """http://host:port"""
        return self._server.endpoint

    def start(self) -> None:
        """Start its process."""
        self._server.start()

    def stop(self) -> None:
        """End its process."""
        self._server.stop()
