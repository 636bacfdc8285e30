"""`python -m tests.bench.plain_replica MODE SERVERS PREFIX LOG`: a consumer as libraries make it.

MODE is `ack` (FastStream's ACK), `workers` (max_workers=2, MANUAL, ack at the end) or `kcm`
(faststream-concurrent-aiokafka as its README wires it). Each start of a job is a line in LOG.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from pathlib import Path
from typing import Any

from faststream import AckPolicy
from faststream.kafka import KafkaBroker, KafkaMessage

SESSION_MS, HEARTBEAT_MS, MAX_POLL_MS = 6000, 500, 3000
OPTIONS: dict[str, dict[str, Any]] = {
    "ack": {"ack_policy": AckPolicy.ACK, "max_poll_interval_ms": MAX_POLL_MS},
    "workers": {"ack_policy": AckPolicy.MANUAL, "max_workers": 2},
    "kcm": {"ack_policy": AckPolicy.MANUAL},
}


async def serve(mode: str, servers: str, prefix: str, log: Path) -> None:
    """Consume until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    broker = KafkaBroker(servers, logger=None)

    async def work(message: KafkaMessage) -> None:
        seconds = float(message.body)
        _note(log, "start", message)
        await asyncio.sleep(seconds)
        if mode == "workers":
            await message.ack()
        _note(log, "end", message)

    broker.subscriber(
        f"{prefix}.requests",
        group_id=f"{prefix}-plain",
        auto_offset_reset="earliest",
        session_timeout_ms=SESSION_MS,
        heartbeat_interval_ms=HEARTBEAT_MS,
        **OPTIONS[mode],
    )(work)
    if mode == "kcm":
        await _serve_kcm(broker, stop)
    else:
        await broker.start()
        await stop.wait()
        await broker.stop()


async def _serve_kcm(broker: KafkaBroker, stop: asyncio.Event) -> None:
    import faststream_concurrent_aiokafka as kcm  # type: ignore[import-not-found,unused-ignore]

    broker.add_middleware(kcm.KafkaConcurrentProcessingMiddleware)
    await kcm.initialize_concurrent_processing(context=broker.context, concurrency_limit=4)
    await broker.start()
    await stop.wait()
    await kcm.stop_concurrent_processing(broker.context)
    await broker.stop()


def _note(log: Path, what: str, message: KafkaMessage) -> None:
    raw: Any = message.raw_message
    with log.open("a", encoding="utf-8") as lines:
        lines.write(f"{what} {raw.partition}/{raw.offset} {time.time():.2f}\n")


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], sys.argv[2], sys.argv[3], Path(sys.argv[4])))
