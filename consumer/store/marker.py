"""The attempt marker as an object of the store: how it is read, written and recognised."""

from __future__ import annotations

import re
from dataclasses import dataclass

import structlog
from pydantic import ValidationError

from consumer.settings.work import MOST_LEASE_S
from consumer.store.storage import Storage
from schemas.manifest import AttemptMarker, Lease

_RENDER_ID = re.compile(r"[ -.0-~]{1,128}")
"""Any name of an object in one folder."""
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class MarkerFile:
    """Where one render's marker lies."""

    storage: Storage
    bucket: str
    key: str

    async def get(self) -> tuple[bytes, str] | None:
        """Its bytes and ETag; None when there is none.

        Raises:
            Fault: the store does not answer.
        """
        return await self.storage.get(self.bucket, self.key)

    async def put(self, marker: AttemptMarker, *, over: str) -> str | None:
        """Write it over the version of an ETag, or over `NOTHING`; the new ETag.

        None where another version is there.

        Raises:
            Fault: the store does not answer.
        """
        return await self.storage.put(self.bucket, self.key, dump(marker), over=over)

    async def is_held_by(self, lease: Lease) -> bool:
        """True while the marker in the store bears the token of this lease."""
        found = await self.get()
        return found is not None and held_by(found[0], lease)


def dump(marker: AttemptMarker) -> bytes:
    """The bytes of a marker; the same for the same marker."""
    return marker.model_dump_json().encode()


def parse(data: bytes) -> AttemptMarker | None:
    """The marker; None for what cannot be read or cannot be, which is then replaced."""
    try:
        marker = AttemptMarker.model_validate_json(data)
    except ValidationError:
        log.error("attempt marker cannot be read and is replaced")
        return None
    if not _can_be(marker):
        log.error("attempt marker states what cannot be and is replaced")
        return None
    return marker


def _can_be(marker: AttemptMarker) -> bool:
    """False for a lease that would never end, attempts that would, and no name of a render."""
    ttl_s = marker.lease.ttl_s if marker.lease is not None else MOST_LEASE_S
    return (
        0 < ttl_s <= MOST_LEASE_S
        and marker.attempt >= 0
        and _RENDER_ID.fullmatch(marker.render_id) is not None
    )


def held_by(data: bytes, lease: Lease) -> bool:
    """True for the bytes of a marker with the token of this lease."""
    marker = parse(data)
    return marker is not None and marker.lease is not None and marker.lease.token == lease.token
