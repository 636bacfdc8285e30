"""Where the outcome of a render may be recorded, and whether one is: reads, and waits out outages.

In the bucket that the request names, or in the service's where that one cannot be used; under the
request's prefix, or without it where the store takes no such name.
"""

from __future__ import annotations

from functools import partial

from pydantic import ValidationError

from consumer.faults import Fault
from consumer.store.patience import OUTAGE, patient
from consumer.store.storage import Storage
from consumer.work.case import Case
from schemas.codes import ErrorCode, Stage
from schemas.manifest import AttemptMarker, Manifest

ABSENT = frozenset(
    {ErrorCode.UNKNOWN_ENGINE, ErrorCode.WEIGHTS_MISSING, ErrorCode.ENGINE_UNAVAILABLE}
)
"""Failures of a replica that lacked the engine: one that has it need not repeat them."""


class Recorded:
    """Finds manifests."""

    def __init__(self, storage: Storage, bucket: str) -> None:
        self._storage = storage
        self._bucket = bucket

    async def find(self, case: Case, key: str | None = None) -> Manifest | None:
        """The recorded outcome of a render; None when there is none.

        Where the request's own bucket or prefix cannot be used, the case is changed to where its
        failure is recorded.

        Args:
            key: of a manifest that counts too; the render's own by default.

        Raises:
            Fault: the manifest cannot be read.
        """
        try:
            return await self._find_at(case, key or case.keys.manifest)
        except Fault as fault:
            if fault.code is not ErrorCode.INVALID_REQUEST:
                raise
            case.rename(self._bucket, fault)
        return await self._find_at(case, case.keys.manifest)

    async def find_after(self, case: Case, before: AttemptMarker) -> Manifest | None:
        """What the last holder of the lease recorded, also when its engine had another revision."""
        found = await self.find(case)
        if found is not None or before.render_id == case.render_id:
            return found
        found = await self.find(case, case.keys.manifest_of(before.render_id))
        if found is not None and found.failed is not None and found.failed.error.code in ABSENT:
            return None
        return found

    async def _find_at(self, case: Case, key: str) -> Manifest | None:
        own, look = self._bucket, "look for the manifest"
        bucket = case.keys.bucket
        if bucket != own:
            try:
                found = await patient(partial(self._read, key, bucket), look, OUTAGE)
            except Fault as fault:
                case.fall_back(own, fault)
                case.tried = case.keys  # an MP4 there may have a manifest that we cannot read
            else:
                if found is not None:
                    return found
        return await patient(partial(self._read, key, own), look)

    async def _read(self, key: str, bucket: str) -> Manifest | None:
        found = await self._storage.get(bucket, key)
        if found is None:
            return None
        try:
            return Manifest.model_validate_json(found[0])
        except ValidationError as error:
            # Somebody else's object under our key. Waiting is right: an operator must look.
            raise Fault.of(
                ErrorCode.STORE_DENIED,
                Stage.STORE,
                f"object {key!r} is no manifest; remove it",
            ) from error
