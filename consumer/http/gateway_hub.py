"""One listener of the outcome and progress topics for the whole gateway, and who waits for what.

It belongs to no group and reads from the end on: each replica hears everything. What is said while
the brokers cannot be reached is not heard; whoever waits also asks the store from time to time.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import structlog
from aiokafka.errors import KafkaError
from pydantic import ValidationError

from consumer.http.gateway_metrics import EVENTS_HEARD, HUB_CONNECTED
from consumer.kafka.client import connection
from consumer.kafka.connecting import ClientFailed, close_consumer, reach
from consumer.kafka.listening import Listening
from consumer.kafka.membership import check_reading
from consumer.settings import Settings
from schemas.envelope import read_headers
from schemas.events import Completed, Failed, Progress

Said = Progress | Completed | Failed
REMEMBERED, REMEMBERED_BYTES = 10_000, 32 * 1024 * 1024
"""Jobs whose last words are kept, and how long these may be together: an event echoes up to 1 MB of
its request. What is forgotten is found in the store."""
BACKLOG = 64
"""Words that one listener may lag behind; older progress is dropped first."""
NOT_THERE = (
    "topics are missing (run `face2face topics apply`), or nobody leads one of their partitions"
)
PAUSE_S = 1.0
POLL_MS = 500
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Heard:
    """One event of a job."""

    said: Said
    event_id: str
    size: int = 0
    """Bytes of its record."""

    @property
    def final(self) -> bool:
        """True for an outcome."""
        return not isinstance(self.said, Progress)


class Hub:
    """Hears events and hands them to those who watch a job."""

    def __init__(self, settings: Settings) -> None:
        topics = settings.topics
        self._settings = settings
        self._kinds: Mapping[str, type[Said]] = {
            topics.progress: Progress,
            topics.completed: Completed,
            topics.failed: Failed,
        }
        self._last: OrderedDict[str, Heard] = OrderedDict()
        self._last_bytes = 0
        self._watchers: dict[str, set[asyncio.Queue[Heard]]] = {}
        self._listener: Listening | None = None
        self._connected = asyncio.Event()
        self.last_poll = 0.0
        """Monotonic second at which the loop last turned."""
        self.trouble = "not connected yet"

    @property
    def connected(self) -> bool:
        """True while it listens."""
        return self._connected.is_set()

    @property
    def watchers(self) -> int:
        """Jobs that somebody waits for."""
        return len(self._watchers)

    async def wait_connected(self, timeout_s: float) -> bool:
        """Wait until it listens, so that nothing said about a later request can be missed."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._connected.wait(), timeout_s)
        return self.connected

    def last(self, job_id: str) -> Heard | None:
        """The last that was said about a job, as far as it is remembered here."""
        return self._last.get(job_id)

    @contextmanager
    def watch(self, job_id: str) -> Iterator[asyncio.Queue[Heard]]:
        """Everything that is said about a job from now on."""
        queue: asyncio.Queue[Heard] = asyncio.Queue(BACKLOG)
        self._watchers.setdefault(job_id, set()).add(queue)
        try:
            yield queue
        finally:
            self._watchers[job_id].discard(queue)
            if not self._watchers[job_id]:
                del self._watchers[job_id]

    async def brokers_answer(self) -> str | None:
        """Ask the brokers for something; None when they answer, else why not."""
        listener = self._listener
        if listener is None or not self.connected:
            return self.trouble
        return await listener.why_silent()

    async def run(self) -> None:
        """Listen for ever; connect again after whatever breaks."""
        while True:
            self.last_poll = time.monotonic()
            try:
                await self._listen()
            except (ClientFailed, KafkaError, TimeoutError, OSError) as error:
                reason = str(error) or NOT_THERE
                if reason != self.trouble:
                    log.warning("gateway does not hear the brokers", error=reason)
                self.trouble = reason
            finally:
                self._connected.clear()
                HUB_CONNECTED.set(0)
            await asyncio.sleep(PAUSE_S)

    async def _listen(self) -> None:
        listener = Listening(**connection(self._settings))
        try:
            # in less time than this loop may stand still; its reasons are not logged each second
            await reach(self._settings, listener.consumer.start())
            self.last_poll = time.monotonic()
            await listener.begin(tuple(self._kinds))
            self._listener, self.trouble = listener, "not connected"
            self._connected.set()
            HUB_CONNECTED.set(1)
            while True:
                self.last_poll = time.monotonic()
                check_reading(listener.consumer)
                for record in await listener.next(POLL_MS):
                    self._hear(record)
        finally:
            self._listener = None
            await close_consumer(listener.consumer)

    def _hear(self, record: Any) -> None:
        kind = self._kinds[record.topic]
        try:
            said = kind.model_validate_json(record.value or b"null")  # of any depth, as json is not
        except ValidationError:
            return  # somebody else's record; nothing of ours
        EVENTS_HEARD.labels(kind.__name__.lower()).inc()
        ce_id = read_headers(record.headers).get("ce_id", "")
        heard = Heard(said, ce_id, len(record.value or b""))
        self._remember(said.job_id, heard)
        for queue in self._watchers.get(said.job_id, ()):
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(heard)

    def _remember(self, job_id: str, heard: Heard) -> None:
        before = self._last.get(job_id)
        if before is not None and before.final and not heard.final:
            return  # a late sign of life of what has ended
        self._last[job_id] = heard
        self._last.move_to_end(job_id)
        self._last_bytes += heard.size - (before.size if before is not None else 0)
        while len(self._last) > REMEMBERED or self._last_bytes > REMEMBERED_BYTES:
            _, oldest = self._last.popitem(last=False)
            self._last_bytes -= oldest.size
