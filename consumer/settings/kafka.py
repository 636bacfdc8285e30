"""Settings of the brokers, the consumer group and its topics."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import SecretStr, field_validator, model_validator

from consumer.settings import checks
from consumer.settings.fields import Group, Names, env, given
from schemas.topics import Topics

_MOST_KAFKA_S = 2_000_000
"""The brokers count milliseconds in 31 bits."""


class KafkaSettings(Group):
    """Which brokers, as whom, and how long the group waits for a member."""

    kafka_servers: Names = env(
        "KAFKA_BOOTSTRAP_SERVERS", ("127.0.0.1:9092",), "brokers, host:port, comma-separated"
    )
    kafka_group: str = env(
        "KAFKA_GROUP_ID", "face2face", "consumer group", min_length=1, max_length=1000
    )
    kafka_instance: str | None = env(
        "KAFKA_GROUP_INSTANCE_ID",
        None,
        "static membership: a stable name per replica",
        pattern=r"^[A-Za-z0-9._-]{1,249}$",
    )
    topic_prefix: str = env(
        "F2F_TOPIC_PREFIX", "face2face", "prefix of all topics", pattern=r"^[A-Za-z0-9._-]{1,150}$"
    )
    session_timeout_s: float = env(
        "KAFKA_SESSION_TIMEOUT_S",
        45.0,
        "silence after which the brokers give a replica's partitions to others",
        gt=0,
        le=_MOST_KAFKA_S,
    )
    heartbeat_s: float = env(
        "KAFKA_HEARTBEAT_S", 3.0, "pause between two signs of life", ge=0.1, le=_MOST_KAFKA_S
    )
    rebalance_timeout_s: float = env(
        "KAFKA_REBALANCE_TIMEOUT_S",
        60.0,
        "how long the group waits for its members to join again",
        ge=1,
        le=_MOST_KAFKA_S,
    )
    max_poll_interval_s: float = env(
        "KAFKA_MAX_POLL_INTERVAL_S",
        3600.0,
        "longest time without a poll, after which a replica leaves its group",
        ge=1,
        le=_MOST_KAFKA_S,
    )
    kafka_security: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = env(
        "KAFKA_SECURITY_PROTOCOL", "PLAINTEXT", "PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL"
    )
    kafka_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = env(
        "KAFKA_SASL_MECHANISM", "SCRAM-SHA-512", "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"
    )
    kafka_user: str | None = env("KAFKA_SASL_USERNAME", None, "SASL user")
    kafka_password: SecretStr | None = env("KAFKA_SASL_PASSWORD", None, "SASL password")
    kafka_ca: Path | None = env("KAFKA_SSL_CA_FILE", None, "CA certificates (PEM)")

    _brokers = field_validator("kafka_servers")(checks.brokers)
    _kafka_certificates = field_validator("kafka_ca")(given(checks.certificates))

    @model_validator(mode="after")
    def _kafka_together(self) -> Self:
        if self.heartbeat_s >= self.session_timeout_s:
            raise ValueError(
                f"KAFKA_HEARTBEAT_S = {self.heartbeat_s:g} must be less than "
                f"KAFKA_SESSION_TIMEOUT_S = {self.session_timeout_s:g}; a third of it is usual"
            )
        if self.kafka_security.startswith("SASL") and not (self.kafka_user and self.kafka_password):
            raise ValueError(
                f"KAFKA_SECURITY_PROTOCOL = {self.kafka_security!r} needs KAFKA_SASL_USERNAME and "
                "KAFKA_SASL_PASSWORD"
            )
        return self

    @property
    def topics(self) -> Topics:
        """The topics under the prefix."""
        return Topics(self.topic_prefix)
