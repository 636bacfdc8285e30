"""Sends requests on their way: notes each in the bucket, then produces its record.

Order matters: the note is written before the record is produced, so that every replica can answer
for a job from the moment it may exist. A repeat with the same job id and request is sent again;
the service recognises it and renders once.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from datetime import UTC, datetime

import structlog
from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from pydantic import BaseModel, ValidationError

from consumer import telemetry
from consumer.faults import Fault
from consumer.http.gateway_hub import Hub
from consumer.http.gateway_metrics import SUBMITTED
from consumer.http.gateway_problems import Refused
from consumer.kafka.producing import Line
from consumer.settings import Settings
from consumer.store.facts import NOTHING
from consumer.store.job_files import INPUTS
from consumer.store.storage import Storage
from schemas.codes import ErrorCode
from schemas.envelope import Envelope, EventType
from schemas.events import Control
from schemas.http import AcceptedRecord, HttpCode
from schemas.request import RenderRequest

CONNECT_S = 10.0
SEND_S = 30.0
SOURCE = "face2face/gateway"
log = structlog.get_logger(__name__)


def note_key(job_id: str) -> str:
    """Where the accepted request of a job is noted, in the service's bucket."""
    return f"{INPUTS}jobs/{job_id}.json"


class Requests:
    """The way from a call to the topics."""

    def __init__(self, settings: Settings, storage: Storage, hub: Hub) -> None:
        self._settings = settings
        self._storage = storage
        self._hub = hub
        self._line = Line(settings)

    async def close(self) -> None:
        """Let go of the brokers."""
        await self._line.stop()

    async def submit(self, request: RenderRequest, traceparent: str | None) -> str:
        """Note and send a request; its job id.

        Raises:
            Refused: JOB_CONFLICT, the id belongs to another request; BODY_TOO_LARGE, the topic
                takes no such record; BROKER_UNAVAILABLE.
            Fault: what the store raises.
        """
        job_id = request.job_id or str(uuid.uuid4())
        request = request.model_copy(update={"job_id": job_id})
        if not await self._hub.wait_connected(CONNECT_S):
            raise Refused.of(ErrorCode.BROKER_UNAVAILABLE, self._hub.trouble)
        await self._note(job_id, request)
        with telemetry.span("request", "producer", parent=traceparent, job_id=job_id) as span:
            trace = span.traceparent or traceparent
            try:
                topic = self._settings.topics.requests
                await self._send(topic, EventType.REQUEST, job_id, request, trace)
            except Refused as refused:
                if refused.problem.code == HttpCode.BODY_TOO_LARGE:  # it can never become a job
                    with contextlib.suppress(Fault):  # it expires
                        await self._storage.remove(self._settings.s3_bucket, note_key(job_id))
                raise
        SUBMITTED.inc()
        log.info("request sent", job_id=job_id)
        return job_id

    async def cancel(self, job_id: str) -> None:
        """Ask the service to stop a job."""
        control = Control(job_id=job_id, action="cancel")
        await self._send(self._settings.topics.control, EventType.CONTROL, job_id, control, None)

    async def _note(self, job_id: str, request: RenderRequest) -> None:
        bucket, key = self._settings.s3_bucket, note_key(job_id)
        note = AcceptedRecord(request=request, accepted_at=datetime.now(UTC))
        data = note.model_dump_json(exclude_defaults=True).encode()
        if await self._storage.put(bucket, key, data, over=NOTHING) is not None:
            return
        found = await self._storage.get(bucket, key)
        before: RenderRequest | None = None
        if found is not None:
            with contextlib.suppress(ValidationError):
                before = AcceptedRecord.model_validate_json(found[0]).request
        if before is not None and _same(before, request):
            return
        raise Refused.of(
            HttpCode.JOB_CONFLICT, f"job id {job_id!r} was given to another request before"
        )

    async def _send(
        self,
        topic: str,
        kind: EventType,
        job_id: str,
        message: BaseModel,
        traceparent: str | None,
    ) -> None:
        envelope = Envelope(
            id=job_id if kind is EventType.REQUEST else str(uuid.uuid4()),
            source=SOURCE,
            type=kind,
            time=datetime.now(UTC),
            subject=job_id,
            traceparent=traceparent,
        )
        value = message.model_dump(mode="json", exclude_defaults=True)
        data = json.dumps(value, ensure_ascii=False).encode()
        headers = [(name, text.encode()) for name, text in envelope.headers().items()]
        try:
            async with asyncio.timeout(SEND_S):
                await self._line.start()
                await self._line.try_to_send(topic, data, job_id.encode(), headers)
        except MessageSizeTooLargeError as error:
            raise Refused.of(
                HttpCode.BODY_TOO_LARGE, f"topic {topic} takes no record of {len(data)} bytes"
            ) from error
        except (KafkaError, TimeoutError) as error:
            raise Refused.of(
                ErrorCode.BROKER_UNAVAILABLE,
                f"the brokers did not confirm job {job_id!r} in time ({type(error).__name__}); "
                "they may still take it, and to send it again with this id is safe",
                job_id=job_id,
            ) from error


def _same(one: RenderRequest, other: RenderRequest) -> bool:
    """True when both ask for the same; a deadline of its own makes no other request."""
    forget = {"deadline": None}
    return one.model_copy(update=forget) == other.model_copy(update=forget)
