"""Connects a Kafka client for somebody who waits: one error, and it says why. And closes one.

The service waits for its brokers as long as it takes (`consumer.kafka.producing`); a command does
not.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from consumer.kafka.membership import end_connections, end_fetching
from consumer.settings import Settings

CONNECT_S = 15.0
STOP_TIMEOUT_S = 2.0


class Stoppable(Protocol):
    """A client of aiokafka or a subscriber of FastStream."""

    async def stop(self) -> None:
        """Say farewell to the brokers and close the connections."""


class ClientFailed(RuntimeError):
    """The brokers or the topics cannot be used; the text says what to check."""


async def reach(settings: Settings, start: Awaitable[Any]) -> None:
    """Await a client's `start()`.

    Raises:
        ClientFailed: no broker can be used, or none answers in `CONNECT_S`; names the addresses and
            the reasons, in an order that stays the same though the client asks in any.
    """
    where = ", ".join(settings.kafka_servers)
    with _reasons() as reasons:
        try:
            async with asyncio.timeout(CONNECT_S):
                await start
        except TimeoutError as error:
            text = f"no broker answers at {where} within {CONNECT_S:g} s"
            raise ClientFailed(": ".join([text, *sorted(reasons)])) from error
        except (KafkaError, OSError) as error:
            text = f"no broker can be used at {where}"
            raise ClientFailed(f"{text}: {', '.join(sorted(reasons)) or error}") from error


async def close(client: Stoppable) -> None:
    """Stop a client, for at most `STOP_TIMEOUT_S`; brokers that are away do not hold it up."""
    with suppress(KafkaError, TimeoutError):
        await asyncio.wait_for(client.stop(), STOP_TIMEOUT_S)


async def close_consumer(consumer: AIOKafkaConsumer) -> None:
    """Stop a consumer likewise, whatever it was about to fetch; none of its connections stays."""
    await end_fetching(consumer)
    await close(consumer)
    with suppress(TimeoutError):
        await asyncio.wait_for(end_connections(consumer), STOP_TIMEOUT_S)


@contextmanager
def _reasons() -> Iterator[list[str]]:
    """Why connections failed: the client says so in its log alone, which is kept silent."""
    log = logging.getLogger("aiokafka")
    kept: list[str] = []

    class Keeper(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said = record.args if isinstance(record.args, tuple) else ()
            reason = said[-1] if said else record.msg
            text = str(reason).strip() or type(reason).__name__
            if text not in kept:
                kept.append(text)

    keeper, propagates = Keeper(logging.ERROR), log.propagate
    log.addHandler(keeper)
    log.propagate = False
    try:
        yield kept
    finally:
        log.removeHandler(keeper)
        log.propagate = propagates
