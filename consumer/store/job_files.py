"""Files of jobs in the bucket: inputs under their digests, results compared with theirs."""

from __future__ import annotations

import mimetypes
from pathlib import Path

from consumer.faults import Fault
from consumer.store.storage import Storage
from schemas.codes import ErrorCode, Stage
from schemas.events import OutputFacts
from schemas.refs import ObjectRef

INPUTS = "inputs/"
"""Prefix of uploads; its objects live for a day."""


async def put_input(storage: Storage, bucket: str, path: Path, sha256: str, suffix: str) -> str:
    """Put a file under its digest, so that the same file has the same location; returns that.

    Raises:
        Fault: what the store raises.
    """
    ref = ObjectRef(bucket, f"{INPUTS}{sha256}{suffix}")
    kind = mimetypes.guess_type(f"x{suffix}")[0] or "application/octet-stream"
    await storage.put_file(ref.bucket, ref.key, path, kind, sha256=sha256)
    return ref.url


async def fetch_result(storage: Storage, output: OutputFacts, path: Path) -> None:
    """Fetch an MP4, and compare it with what its event says.

    Raises:
        Fault: what the store raises, or OUTPUT_INVALID when the digest differs.
    """
    got = await storage.fetch(ObjectRef(output.bucket, output.key), path, output.size)
    if got.sha256 != output.sha256:
        raise Fault.of(
            ErrorCode.OUTPUT_INVALID,
            Stage.FETCH,
            f"{output.url} has sha256 {got.sha256}, its event says {output.sha256}",
        )
