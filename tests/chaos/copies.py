"""What a record says of itself: the job that it is, and the record that it copies."""

from __future__ import annotations

from pydantic import ValidationError

from schemas.ids import choose_job_id, record_job_id
from schemas.request import RenderRequest
from tests.chaos.facts import Place, Rec


def job_of(record: Rec) -> str:
    """The job id of a record, by the contract: carried, named, or made of its place."""
    named = record.headers.get("f2f-job-id") or record.headers.get("ce_id")
    try:
        request = RenderRequest.model_validate_json(record.value or b"")
    except ValidationError:
        return record_job_id(*record.place)
    return choose_job_id(request, named, *record.place)


def original_place(record: Rec) -> Place | None:
    """Where the first record of a copy lies, by its headers."""
    head = record.headers
    try:
        return Place(
            head["f2f-original-topic"],
            int(head["f2f-original-partition"]),
            int(head["f2f-original-offset"]),
        )
    except (KeyError, ValueError):
        return None
