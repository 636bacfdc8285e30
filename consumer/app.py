"""The service, put together: what is started, in which order, and how it ends.

    health ── publisher ── topics? ── processing (workers start in the background)
                                       └── control ── intake ── "ready"
    SIGTERM, SIGINT or SIGHUP: drain (pause, finish, commit, leave), then all else in reverse.

A second signal ends the grace of running jobs at once. Missing brokers and topics are waited for,
with one clear line in the log, so that nothing crash-loops while the platform comes up.
"""

from __future__ import annotations

import consumer.lean  # noqa: F401 - first of all

# isort: split
import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from importlib.metadata import version
from typing import Any, TypeVar

import structlog
from aiokafka.errors import KafkaError

from consumer import logs, metrics, telemetry
from consumer.allocator import keep_freed_memory, keep_from_collector, touch_memory
from consumer.control import Cancellations, ControlReader
from consumer.handler import Handler
from consumer.http import health
from consumer.lag import watch_lag
from consumer.lasting import lasting
from consumer.processing import Processing, open_processor
from consumer.publisher import Publisher
from consumer.settings import Settings, SettingsError
from consumer.subscriber import Intake
from consumer.waiting import first_of

TOPICS_CHECK_S = 2.0
POLL_AGE_S = 120.0
"""A loop that turns every half second, and has not for this long, will not turn again."""
VERSION = version("face2face")
T = TypeVar("T")

log = structlog.get_logger("app")


class _Stopped(Exception):
    """A signal came while something was waited for."""


class State:
    """What health and readiness are answered from."""

    def __init__(self, group: str) -> None:
        self.group = group
        self.phase = "starting"
        self.processing: Processing | None = None
        self.intake: Intake | None = None
        self.publisher: Publisher | None = None

    def live(self) -> str | None:
        """Nothing outside this process makes it worth a restart; an outage does not."""
        if self.intake is not None and self.intake.ended:
            return "the poll loop has ended"
        if self.intake is not None and self.phase in ("running", "draining"):
            pump = self.intake.pump
            if pump.member and pump.polled_s > POLL_AGE_S:
                return f"the poll loop has not turned for {pump.polled_s:.0f} s"
        return None

    def ready(self) -> str | None:
        """Why no request is taken now."""
        if self.intake is None or self.processing is None or self.phase != "running":
            return self.phase
        if not self.intake.pump.member:
            return "not a member of the consumer group"
        if missing := self.intake.missing:
            return f"topics are missing: {', '.join(missing)}; run `face2face topics apply`"
        if self.intake.pump.failing is not None:
            return f"the topics cannot be read: {self.intake.pump.failing}"
        if self.publisher is not None and self.publisher.trouble is not None:
            return f"outcomes cannot be announced: {self.publisher.trouble}"
        return self.processing.why_not_ready()

    def facts(self) -> dict[str, Any]:
        """Everything else."""
        answer: dict[str, Any] = {"version": VERSION, "phase": self.phase, "draining": False}
        if self.intake is not None:
            answer["kafka"] = {"group": self.group} | self.intake.pump.facts()
            answer["draining"] = self.phase == "draining"
        if self.processing is not None:
            answer |= self.processing.health()
        return answer


class Signals:
    """SIGTERM, SIGINT and SIGHUP: the first asks for the drain, the second ends its grace.

    SIGHUP comes when the terminal of a service is closed; where it is ignored, as by nohup, it
    stays so.
    """

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.hurry = asyncio.Event()

    def listen(self) -> None:
        """Take the signals from now on."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                loop.add_signal_handler(number, self._take, number)

    def _take(self, number: signal.Signals) -> None:
        log.info("signal", name=number.name, again=self.stop.is_set())
        (self.hurry if self.stop.is_set() else self.stop).set()

    async def unless_stopped(self, work: Awaitable[T]) -> T:
        """Wait for work, or raise when a signal comes first."""
        task = asyncio.ensure_future(work)
        stop = asyncio.ensure_future(self.stop.wait())
        try:
            await asyncio.wait((task, stop), return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise _Stopped
            return task.result()
        finally:
            stop.cancel()
            if not task.done():
                task.cancel()
                await asyncio.wait((task,))


async def run(settings: Settings) -> None:
    """Run the service until SIGTERM, SIGINT or SIGHUP.

    Raises:
        SettingsError: the health port cannot be bound, or another live replica bears the name of
            this one in its group.
        Fault: the scratch folder cannot be used.
    """
    logs.configure(settings)
    keep_freed_memory()
    telemetry.start(settings, "face2face")
    signals = Signals()
    signals.listen()
    metrics.BUILD.labels(VERSION).set(1)
    state = State(settings.kafka_group)
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(health.serve(settings, state))
        log.info("health is served", host=settings.http_host, port=port)
        try:
            await _work(settings, state, signals)
        except _Stopped:
            log.info("stopped before it was ready", phase=state.phase)
        state.phase = "stopped"
    await asyncio.to_thread(telemetry.stop)
    log.info("bye")


async def _work(settings: Settings, state: State, signals: Signals) -> None:
    async with AsyncExitStack() as stack:
        publisher = Publisher(settings)
        stack.push_async_callback(publisher.stop)
        state.publisher = publisher
        state.phase = "connecting to the brokers"
        await signals.unless_stopped(publisher.start())
        state.phase = "waiting for topics"
        await signals.unless_stopped(wait_for_topics(settings, publisher))
        publisher.get_ready()
        state.phase = "opening"
        processing = await stack.enter_async_context(open_processor(settings, publisher))
        state.processing = processing
        cancellations = Cancellations()
        control = ControlReader(settings, cancellations)
        stack.push_async_callback(control.stop)
        await signals.unless_stopped(control.start())
        state.phase = "joining the group"
        handler = Handler(processing.processor, cancellations, settings.topics.retry)
        touch_memory()
        keep_from_collector()
        async with _joined(settings, processing, handler, signals) as intake:
            state.intake = intake
            if not intake.twins.found.is_set():
                state.phase = "running"
                log.info("ready", **intake.pump.facts())
            lag = asyncio.create_task(
                lasting("lag", partial(watch_lag, intake.pump.assignment)), name="lag"
            )
            twin = await _until_stopped_or_twin(intake, signals)
            lag.cancel()
            state.phase = "draining"
            # what a twin has in work by now is not finished twice
            await _drain(intake, 0.0 if twin else settings.drain_s, signals)
            if twin:
                raise SettingsError(intake.twins.text())


async def _until_stopped_or_twin(intake: Intake, signals: Signals) -> bool:
    """Wait for a signal; True when another live replica with this one's name came first."""
    await first_of(signals.stop, intake.twins.found)
    if signals.stop.is_set() or not intake.twins.found.is_set():
        return False
    log.error("a twin is in the group; this replica ends", error=intake.twins.text())
    return True


@asynccontextmanager
async def _joined(
    settings: Settings, processing: Processing, handler: Handler, signals: Signals
) -> AsyncIterator[Intake]:
    intake = Intake(
        settings,
        handler,
        lambda: processing.capacity + settings.backlog,
        processing.free_to_admit,
    )
    try:
        await signals.unless_stopped(intake.start())
        yield intake
    finally:
        await intake.stop()


async def _drain(intake: Intake, grace_s: float, signals: Signals) -> None:
    draining = asyncio.create_task(intake.pump.drain(grace_s))
    hurry = asyncio.create_task(signals.hurry.wait())
    await asyncio.wait((draining, hurry), return_when=asyncio.FIRST_COMPLETED)
    hurry.cancel()
    if not draining.done():
        intake.pump.hurry()
    given_up = await draining
    log.info("drained", given_up=given_up)


async def wait_for_topics(settings: Settings, publisher: Publisher) -> None:
    """Return when every topic of the service exists."""
    said: list[str] = []
    while True:
        try:
            missing = sorted(set(settings.topics.all()) - await publisher.topics())
        except KafkaError as error:
            log.warning("no broker can be used yet", error=repr(error))
        else:
            if not missing:
                return
            if missing != said:
                said = missing
                log.error("topics are missing; run `face2face topics apply`", topics=missing)
        await asyncio.sleep(TOPICS_CHECK_S)
