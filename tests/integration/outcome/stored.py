"""What the store holds of the one job of a test."""

from __future__ import annotations

from typing import Any

from schemas.manifest import AttemptMarker, Manifest
from tests.support.handles import S3Handle

LASTING: dict[str, Any] = {"F2F_LEASE_S": 9}
"""Where no holder dies: a busy machine takes longer for a renewal than a short lease lasts."""


def manifest_of(s3: S3Handle) -> Manifest:
    keys = [key for key in s3.keys("results/") if key.endswith(".json")]
    assert len(keys) == 1, keys
    return Manifest.model_validate_json(s3.client().get_object(s3.bucket, keys[0]).data)


def marker_of(s3: S3Handle) -> AttemptMarker:
    keys = [key for key in s3.keys("attempts/") if not key.endswith(".rendered.json")]
    assert len(keys) == 1, keys
    return AttemptMarker.model_validate_json(s3.client().get_object(s3.bucket, keys[0]).data)
