"""How long small questions to the brokers wait for their answers.

aiokafka has one time-out for all requests. A consumer's must outlast a join, which the brokers hold
back until all members of the group are there. A broker that hangs (its machine is frozen, its disk
does not write) closes nothing and answers nothing, so that signs of life went to it for longer than
a session: the replica was thrown out of its group by the coordinator that followed. What is asked
here is answered at once by a broker that works. Who waits for it asks another broker then.
"""

from __future__ import annotations

from typing import Any

from aiokafka.conn import AIOKafkaConnection
from aiokafka.protocol.admin import ApiVersionRequest, SaslHandShakeRequest
from aiokafka.protocol.coordination import FindCoordinatorRequest
from aiokafka.protocol.group import HeartbeatRequest
from aiokafka.protocol.metadata import MetadataRequest

ANSWER_S = 10.0
_SMALL = (
    *(ApiVersionRequest, SaslHandShakeRequest),  # the first of every connection
    *(FindCoordinatorRequest, HeartbeatRequest, MetadataRequest),
)
_send = AIOKafkaConnection.send


def expect_answers() -> None:
    """Let small questions of every client in this process end after `ANSWER_S`; twice is once."""
    AIOKafkaConnection.send = _send_briefly


def _send_briefly(connection: Any, request: Any, expect_response: bool = True) -> Any:
    """The awaitable of an answer, as before; its time-out is settled when it is made."""
    longest = connection._request_timeout
    if isinstance(request, _SMALL):
        connection._request_timeout = min(longest, ANSWER_S)
    try:
        return _send(connection, request, expect_response)
    finally:
        connection._request_timeout = longest
