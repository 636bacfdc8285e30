"""Brings the files of a request into the bucket, under their digests."""

from __future__ import annotations

from pathlib import Path

from consumer.faults import Fault
from consumer.http.gateway_metrics import FETCHED
from consumer.remote.body import RemotePolicy
from consumer.remote.fetch import fetch_remote
from consumer.scratch import Scratch
from consumer.settings import Settings
from consumer.store.job_files import put_input
from consumer.store.storage import Storage
from schemas.codes import ErrorCode, Stage
from schemas.refs import RemoteRef, file_suffix, parse_ref
from schemas.request import RenderRequest


class Inputs:
    """Files that were uploaded or lie in the web, on their way into the bucket."""

    def __init__(self, settings: Settings, storage: Storage, scratch: Scratch) -> None:
        self._bucket = settings.s3_bucket
        self._storage = storage
        self._scratch = scratch
        self._policy = RemotePolicy.of(settings)

    def check_room(self) -> None:
        """Refuse uploads and fetches while the scratch disk is nearly full.

        Raises:
            Fault: SCRATCH_FULL.
        """
        reason = self._scratch.nearly_full()
        if reason is not None:
            raise Fault.of(ErrorCode.SCRATCH_FULL, Stage.FETCH, reason)

    async def store(self, path: Path, sha256: str, suffix: str) -> str:
        """Put a file under its digest; its location.

        Raises:
            Fault: what the store raises.
        """
        return await put_input(self._storage, self._bucket, path, sha256, suffix)

    async def localise(self, request: RenderRequest) -> RenderRequest:
        """The request with remote inputs fetched into the bucket.

        Raises:
            Fault: what `consumer.remote.fetch` and the store raise.
        """
        names = ("audio_url", "video_url")
        if not any(isinstance(parse_ref(getattr(request, name)), RemoteRef) for name in names):
            return request
        self.check_room()
        async with self._scratch.job("gateway") as folder:
            urls = [
                await self._bring(getattr(request, name), folder / f"input-{n}")
                for n, name in enumerate(names)
            ]
        return request.model_copy(update=dict(zip(names, urls, strict=True)))

    async def _bring(self, url: str, path: Path) -> str:
        ref = parse_ref(url)
        if not isinstance(ref, RemoteRef):
            return url
        fetched = await fetch_remote(ref, path, self._policy)
        FETCHED.inc(fetched.size)
        try:
            return await self.store(path, fetched.sha256, file_suffix(ref))
        finally:
            path.unlink(missing_ok=True)
