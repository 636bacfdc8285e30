"""Words in the container: the AIGC JSON, the IPTC digital source type and a comment.

Sources: GB 45438-2025 annex E (the seven fields) and the TC260 practice guide for video, which puts
them under the key `AIGC` of `moov.udta.meta`/`moov.meta`; IPTC NewsCodes, scheme Digital Source
Type.
"""

from __future__ import annotations

import json
import re
from typing import Any

from schemas.request import JOB_ID_PATTERN

PRODUCER = "Face2Face"
_SCHEME = "http://cv.iptc.org/newscodes/digitalsourcetype/"
TRAINED = _SCHEME + "compositeWithTrainedAlgorithmicMedia"
"""Existing media changed by a generative model: engines whose networks make pixels."""
SAMPLED = _SCHEME + "composite"
"""Several elements put together: `viseme` warps and blends the person's own frames."""
_SAMPLING_ENGINES = frozenset({"viseme"})
_COMMENT_HEAD = f"AI-generated lip-sync by {PRODUCER} "
_JOB = JOB_ID_PATTERN.strip("^$")
_COMMENT = re.compile(rf"^{_COMMENT_HEAD}.*, job ({_JOB})$")

AIGC_FIELDS = (
    "Label",
    "ContentProducer",
    "ProduceID",
    "ReservedCode1",
    "ContentPropagator",
    "PropagateID",
    "ReservedCode2",
)


def source_type(engine: str) -> str:
    """IPTC digital source type (a URI) of what an engine makes."""
    return SAMPLED if engine in _SAMPLING_ENGINES else TRAINED


def container_metadata(
    job_id: str | None, engine: str, revision: str, producer: str = PRODUCER
) -> dict[str, str]:
    """Words for the MP4's metadata. The comment alone outlives most re-encoders.

    `Label` "1" says that the content is generated; the propagator's fields are for platforms.

    Args:
        producer: name or code of who answers for the content, where it is registered.
    """
    aigc = dict.fromkeys(AIGC_FIELDS, "")
    aigc |= {"Label": "1", "ContentProducer": producer, "ProduceID": job_id or ""}
    comment = f"{_COMMENT_HEAD}({engine} {revision})"
    return {
        "AIGC": json.dumps(aigc, separators=(",", ":"), ensure_ascii=False),
        "digitalSourceType": source_type(engine),
        "comment": f"{comment}, job {job_id}" if job_id else comment,
    }


def read_words(metadata: dict[str, str]) -> dict[str, Any]:
    """What the container's metadata says.

    Returns:
        `status` found, broken (the AIGC text is damaged), foreign (of another producer) or absent;
        where there is something: `job_id`, `producer`, `digital_source_type`, `aigc`.
    """
    said = {key.lower(): text for key, text in metadata.items()}  # Matroska writes COMMENT
    aigc_text, comment = said.get("aigc"), said.get("comment", "")
    ours = _COMMENT.match(comment)
    told = ours.group(1) if ours else None
    mine = comment.startswith(_COMMENT_HEAD)
    source = said.get("digitalsourcetype")
    if aigc_text is None:
        if not mine:
            return {"status": "absent"}
        return _told("found", told, PRODUCER, source, comment_only=True)
    aigc = _parse(aigc_text)
    if aigc is None:
        return {"status": "broken", "reason": "the AIGC text is no JSON object of its seven fields"}
    producer = str(aigc["ContentProducer"])
    job = str(aigc["ProduceID"]) or None
    # An operator may be named; then our comment stands beside it, with the same job.
    if producer != PRODUCER and not (mine and told == job):
        return _told("foreign", None, producer, source)
    if job and not re.fullmatch(_JOB, job):
        return {"status": "broken", "reason": "AIGC names a job that no job of ours is called"}
    if told and job and told != job:
        return {"status": "broken", "reason": f"AIGC names job {job!r}, the comment another one"}
    return _told("found", job, producer, source, aigc=aigc)


def _told(
    status: str, job: str | None, producer: str, source: str | None, **more: Any
) -> dict[str, Any]:
    facts = {"job_id": job, "producer": producer, "digital_source_type": source, **more}
    return {"status": status} | {k: v for k, v in facts.items() if v is not None}


def _parse(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if isinstance(value, dict) and isinstance(value.get("AIGC"), dict):
        value = value["AIGC"]  # the wrapped form that some guides show
    if not isinstance(value, dict) or not {"Label", "ContentProducer", "ProduceID"} <= set(value):
        return None
    return value
