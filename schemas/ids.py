"""Identities, derived and never drawn: every replica and every replay finds the same ones."""

from __future__ import annotations

import hashlib
import json
import re
import uuid

from schemas.request import JOB_ID_PATTERN, RenderRequest

_NAMESPACE = uuid.UUID("6f1d2c0e-7a39-5b3e-9a41-f2f0f2f0f2f0")


def record_job_id(topic: str, partition: int, offset: int) -> str:
    """The job id of a record that names none and carries no usable `ce_id`."""
    return str(uuid.uuid5(_NAMESPACE, f"record/{topic}/{partition}/{offset}"))


def choose_job_id(
    request: RenderRequest, ce_id: str | None, topic: str, partition: int, offset: int
) -> str:
    """`job_id` of the request, else a `ce_id` valid as one, else one of the record's place."""
    if request.job_id is not None:
        return request.job_id
    if ce_id is not None and re.fullmatch(JOB_ID_PATTERN.strip("^$"), ce_id):
        return ce_id
    return record_job_id(topic, partition, offset)


def render_id(
    request: RenderRequest, engine: str, engine_revision: str, generation: int = 0
) -> str:
    """Digest (32 hex digits of SHA-256) of all that decides the picture, and of the generation.

    What stands at its default is left out, so that an option which comes later changes no digest.
    A default itself may change only together with the engine's revision.
    """
    facts = {
        "audio_url": request.audio_url,
        "video_url": request.video_url,
        "options": request.options.model_dump(mode="json", exclude_defaults=True),
        "output": request.output.model_dump(mode="json", exclude_defaults=True),
        "engine": engine,
        "revision": engine_revision,
        "generation": generation,
    }
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def wish_id(request: RenderRequest, engine: str, generation: int = 0) -> str:
    """What a render id is without the engine's revision: the same before and after an upgrade."""
    return render_id(request, engine, "", generation)


def event_id(job_id: str, render: str, kind: str) -> str:
    """CloudEvents id of an outcome: the same for each of its copies."""
    return str(uuid.uuid5(_NAMESPACE, f"event/{kind}/{job_id}/{render}"))
