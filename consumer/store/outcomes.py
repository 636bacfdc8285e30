"""Which outcomes a job has, by the manifests in the bucket."""

from __future__ import annotations

from dataclasses import replace

from pydantic import ValidationError

from consumer.faults import Fault
from consumer.jobs import Job
from consumer.store.records import Keys
from consumer.store.storage import Storage
from schemas.codes import ErrorCode
from schemas.manifest import Manifest


class OutcomesHidden(Exception):
    """Where a job's outcome would be recorded cannot be read; the text says which bucket, and why.

    The bucket is one that the request named: it says nothing about other jobs.
    """


class StoredOutcomes:
    """Finds outcomes in the store."""

    def __init__(self, storage: Storage, default_bucket: str) -> None:
        self._storage = storage
        self._default_bucket = default_bucket

    async def __call__(self, job: Job) -> list[Manifest]:
        """All manifests of the job that can be read.

        Raises:
            Fault: the store does not answer, or the service's own bucket cannot be read.
            OutcomesHidden: the bucket that the request names cannot be read.
        """
        own = self._default_bucket
        keys = Keys.of(job, "x", own)
        # a failure is recorded where the request's bucket, or its prefix, cannot be used
        places = dict.fromkeys((replace(keys, bucket=own), keys.plain(own)))
        found = [manifest for place in places for manifest in await self._under(place)]
        if keys.bucket == own:
            return found
        try:
            return found + await self._under(keys)
        except OutcomesHidden:
            if found:
                return found
            raise

    async def _under(self, keys: Keys) -> list[Manifest]:
        folder = keys.manifest.rpartition("/")[0] + "/"
        try:
            return await self._read(keys.bucket, folder)
        except Fault as error:
            if error.code is ErrorCode.INVALID_REQUEST:
                return []
            if error.code is not ErrorCode.STORE_DENIED or keys.bucket == self._default_bucket:
                raise
            raise OutcomesHidden(
                f"its output bucket {keys.bucket!r} cannot be read: {error.error.message[:200]}"
            ) from error

    async def _read(self, bucket: str, folder: str) -> list[Manifest]:
        found: list[Manifest] = []
        for key, _ in await self._storage.list_objects(bucket, folder):
            data = await self._storage.get(bucket, key) if key.endswith(".json") else None
            if data is None:
                continue
            try:
                found.append(Manifest.model_validate_json(data[0]))
            except ValidationError:
                continue  # somebody else's object
        return found
