"""What tests of the store put there by other means."""

from __future__ import annotations

import io

from schemas.refs import ObjectRef
from tests.support.handles import S3Handle

LIMIT = 10_000_000


def put_object(s3: S3Handle, key: str, data: bytes) -> ObjectRef:
    s3.client().put_object(s3.bucket, key, io.BytesIO(data), len(data))
    return ObjectRef(s3.bucket, key)
