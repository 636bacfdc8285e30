"""FastStream's broker, as the settings name it."""

from __future__ import annotations

import ssl

from faststream.kafka import KafkaBroker
from faststream.security import BaseSecurity, SASLPlaintext, SASLScram256, SASLScram512

from consumer.kafka.decompression import bound_batches
from consumer.kafka.header_names import forgive_header_names
from consumer.kafka.request_timeout import expect_answers
from consumer.settings import Settings

METADATA_MS = 60_000
"""New partitions are found so soon."""


def make_broker(settings: Settings) -> KafkaBroker:
    """A broker that only consumes; it connects when it is asked to."""
    bound_batches()
    forgive_header_names()
    expect_answers()
    return KafkaBroker(
        list(settings.kafka_servers),
        client_id=f"face2face-{settings.replica}",
        security=_security(settings),
        consumer_only=True,  # consumer.kafka.publisher produces; no admin calls
        allow_auto_create_topics=False,
        # longer than a join may take, which the brokers hold back until all members are there
        request_timeout_ms=round((settings.rebalance_timeout_s + 5) * 1000),
        metadata_max_age_ms=METADATA_MS,
        graceful_timeout=1.0,
        apply_types=False,  # the handler takes the record as it is
        logger=None,
    )


def _security(settings: Settings) -> BaseSecurity | None:
    protocol = settings.kafka_security
    context = None
    if protocol.endswith("SSL"):
        context = ssl.create_default_context(
            cafile=str(settings.kafka_ca) if settings.kafka_ca else None
        )
    if not protocol.startswith("SASL"):
        return BaseSecurity(ssl_context=context, use_ssl=True) if context else None
    mechanisms: dict[str, type[SASLPlaintext | SASLScram256 | SASLScram512]] = {
        "PLAIN": SASLPlaintext,
        "SCRAM-SHA-256": SASLScram256,
        "SCRAM-SHA-512": SASLScram512,
    }
    password = settings.kafka_password
    return mechanisms[settings.kafka_mechanism](
        username=settings.kafka_user or "",
        password=password.get_secret_value() if password else "",
        ssl_context=context,
        use_ssl=context is not None,
    )
