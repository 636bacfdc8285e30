"""Settings of the object store: where it is, whose keys, which bucket."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import SecretStr, field_validator, model_validator

from consumer.settings import checks
from consumer.settings.fields import Group, env, given
from schemas.refs import check_bucket


class StoreSettings(Group):
    """Any S3-compatible store."""

    s3_endpoint: str = env("S3_ENDPOINT", "http://127.0.0.1:9000", "http(s)://host:port")
    s3_access_key: str = env("S3_ACCESS_KEY", "", "access key")
    s3_secret_key: SecretStr = env("S3_SECRET_KEY", SecretStr(""), "secret key")
    s3_session_token: SecretStr | None = env(
        "S3_SESSION_TOKEN", None, "token that belongs to temporary keys"
    )
    s3_credentials: Literal["keys", "aws"] = env(
        "S3_CREDENTIALS",
        "keys",
        "keys: those above; aws: found as AWS' tools do (`AWS_*`, the credentials file, EKS, "
        "container or machine role), and renewed",
    )
    s3_bucket: str = env("S3_BUCKET", "face2face", "bucket of inputs, results and markers")
    s3_region: str = env(
        "S3_REGION", "us-east-1", "region of the signature", pattern=r"^[A-Za-z0-9_-]+$"
    )
    s3_ca: Path | None = env("S3_CA_FILE", None, "CA certificates (PEM)")
    s3_public_endpoint: str | None = env(
        "S3_PUBLIC_ENDPOINT", None, "endpoint written into presigned URLs, where it differs"
    )
    presign_s: int = env(
        "F2F_PRESIGN_S", 86_400, "life of download URLs, seconds", ge=60, le=604_800
    )

    _bucket = field_validator("s3_bucket")(check_bucket)
    _endpoints = field_validator("s3_endpoint", "s3_public_endpoint")(given(checks.endpoint))
    _store_certificates = field_validator("s3_ca")(given(checks.certificates))

    @model_validator(mode="after")
    def _store_together(self) -> Self:
        checks.region(self.s3_endpoint, self.s3_region)
        named = [self.s3_access_key, self.s3_secret_key.get_secret_value()]
        if self.s3_credentials == "aws" and (any(named) or self.s3_session_token):
            raise ValueError(
                "S3_CREDENTIALS = 'aws' finds keys elsewhere; leave out S3_ACCESS_KEY, "
                "S3_SECRET_KEY and S3_SESSION_TOKEN"
            )
        if any(named) != all(named) or (self.s3_session_token and not all(named)):
            raise ValueError("S3_ACCESS_KEY and S3_SECRET_KEY belong together")
        return self
