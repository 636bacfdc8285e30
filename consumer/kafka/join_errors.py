"""What to do where the brokers refuse a member of the group for good, in the words of settings."""

from __future__ import annotations

from aiokafka.errors import (
    GroupAuthorizationFailedError,
    InconsistentGroupProtocolError,
    InvalidSessionTimeoutError,
    KafkaError,
)

_ADVICE: dict[type[KafkaError], str] = {
    InvalidSessionTimeoutError: "KAFKA_SESSION_TIMEOUT_S must lie within what the brokers allow, "
    "group.min.session.timeout.ms (6 s by default) to group.max.session.timeout.ms",
    InconsistentGroupProtocolError: "another program is in this group: give the service a "
    "KAFKA_GROUP_ID of its own",
    GroupAuthorizationFailedError: "an ACL must allow this user to read the group KAFKA_GROUP_ID",
}


def advice(error: KafkaError) -> str | None:
    """What to do; None for errors that pass by themselves."""
    return _ADVICE.get(type(error))
