"""The service, put together: what is started, in which order, and how it ends.

    health ── publisher ── topics? ── processing (workers start in the background)
                                       └── control ── intake ── "ready"
    SIGTERM, SIGINT or SIGHUP: drain (pause, finish, commit, leave), then all else in reverse.

A second signal ends the grace of running jobs at once. Missing brokers and topics are waited for,
with one clear line in the log, so that nothing crash-loops while the platform comes up.
"""

from __future__ import annotations

import consumer.without_rich  # noqa: F401 - first of all

# isort: split
import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import structlog
from aiokafka.errors import KafkaError

from consumer import logs, metrics, telemetry
from consumer.allocator import keep_freed_memory, keep_from_collector, touch_memory
from consumer.background import in_background
from consumer.core_dumps import forbid_core_dumps
from consumer.http import health
from consumer.kafka.control import Cancellations, ControlReader
from consumer.kafka.handler import Handler
from consumer.kafka.lag import LagWatch
from consumer.kafka.publisher import Publisher
from consumer.kafka.subscriber import Intake
from consumer.processing import Processing, open_processor
from consumer.settings import Settings, SettingsError
from consumer.signals import Signals, Stopped
from consumer.state import VERSION, State
from consumer.waiting import first_of
from consumer.workers.devices import placed

TOPICS_CHECK_S = 2.0

log = structlog.get_logger("app")


async def run(settings: Settings) -> None:
    """Run the service until SIGTERM, SIGINT or SIGHUP.

    Raises:
        SettingsError: a GPU is wanted that this process was not given, the health port cannot be
            bound, or another live replica bears the name of this one in its group.
        Fault: the scratch folder cannot be used.
    """
    forbid_core_dumps()
    placed(settings)  # before anything is waited for
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
        except Stopped:
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
        metrics.BROKERS_UP.set(1)
        state.phase = "waiting for topics"
        await signals.unless_stopped(wait_for_topics(settings, publisher))
        publisher.get_ready()
        state.phase = "opening"
        processing = await stack.enter_async_context(open_processor(settings, publisher))
        state.processing = processing
        cancellations = Cancellations()
        state.control = control = ControlReader(settings, cancellations)
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
                log.info("takes part in the group", **intake.pump.facts())
            state.brokers = LagWatch(intake.pump.assignment)
            async with in_background({"lag": state.brokers.run}):
                twin = await _until_stopped_or_twin(intake, signals)
            state.phase = "draining"
            # what a twin has in work by now is not finished twice
            given_up = await intake.pump.drain(0.0 if twin else settings.drain_s, signals.hurry)
            log.info("drained", given_up=given_up)
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
