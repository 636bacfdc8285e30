"""Accounts of a store that may do less than everything, as operators make them."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tests.support.capabilities import Can
from tests.support.handles import S3Handle

if TYPE_CHECKING:
    from minio import MinioAdmin

ALL = "arn:aws:s3:::*"


def administration(s3: S3Handle) -> MinioAdmin:
    """What makes accounts, and sets quotas."""
    from minio import MinioAdmin
    from minio.credentials.providers import StaticProvider

    s3.require(Can.ACCOUNTS)
    parts = urlsplit(s3.endpoint)
    return MinioAdmin(
        endpoint=parts.netloc,
        credentials=StaticProvider(s3.access_key, s3.secret_key),
        secure=parts.scheme == "https",
    )


def without(s3: S3Handle, *denied: str, where: str = ALL) -> S3Handle:
    """The same bucket through an account that may do anything but these actions there."""
    admin = administration(s3)
    access, secret = uuid.uuid4().hex[:16], uuid.uuid4().hex
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": ["s3:*"], "Resource": [ALL]},
            {"Effect": "Deny", "Action": list(denied), "Resource": [where]},
        ],
    }
    admin.add_service_account(access_key=access, secret_key=secret, policy=policy)
    return replace(s3, access_key=access, secret_key=secret)


@dataclass(frozen=True)
class Temporary:
    """Keys that end by themselves, as a token service gives them."""

    access_key: str
    secret_key: str
    session_token: str


def temporary(s3: S3Handle) -> Temporary:
    """Temporary keys of the store's owner (AssumeRole), good for an hour."""
    from minio.credentials.providers import AssumeRoleProvider

    s3.require(Can.ACCOUNTS)
    role = AssumeRoleProvider(
        sts_endpoint=s3.endpoint,
        access_key=s3.access_key,
        secret_key=s3.secret_key,
        duration_seconds=3600,
    )
    found = role.retrieve()
    return Temporary(found.access_key, found.secret_key, found.session_token or "")
