"""A finished MP4 that its bucket had no room for, kept in the service's own until the next try.

The next try may be another replica's, so it is not kept on a disk. It lies beside the attempt
marker, whose prefix expires after a day, and is taken only with the draft of its event.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import structlog

from consumer.faults import Fault
from consumer.store.patience import OUTAGE, patient
from consumer.store.records import Keys
from consumer.store.storage import Storage
from schemas.codes import ErrorCode
from schemas.events import OutputFacts
from schemas.refs import ObjectRef

log = structlog.get_logger(__name__)


class Shelf:
    """Keeps MP4s in a bucket."""

    def __init__(self, storage: Storage, bucket: str) -> None:
        self._storage = storage
        self._bucket = bucket

    async def keep(self, keys: Keys, path: Path, sha256: str) -> None:
        """Keep an MP4; where even this bucket refuses it, the next try renders again."""
        put = partial(
            self._storage.put_file, self._bucket, keys.shelf, path, "video/mp4", sha256=sha256
        )
        try:
            await patient(put, "keep the MP4", OUTAGE)
        except Fault as fault:
            log.warning("a finished MP4 cannot be kept", key=keys.shelf, error=str(fault))

    async def take(self, keys: Keys, wanted: OutputFacts, path: Path) -> bool:
        """Fetch a kept MP4; False when it is not there as it should be.

        Raises:
            Fault: SCRATCH_FULL.
        """
        ref = ObjectRef(self._bucket, keys.shelf)
        fetch = partial(self._storage.fetch, ref, path, wanted.size)
        try:
            found = await patient(fetch, "fetch the kept MP4", OUTAGE)
        except Fault as fault:
            if fault.code is ErrorCode.SCRATCH_FULL:
                raise
            return False
        return found.sha256 == wanted.sha256

    async def clear(self, keys: Keys) -> None:
        """Remove what was kept; where that fails it expires."""
        try:
            await self._storage.remove(self._bucket, keys.shelf)
        except Fault as fault:
            log.info("a kept MP4 is left to expire", key=keys.shelf, error=str(fault))
