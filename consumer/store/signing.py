"""Whose keys the store's calls are signed with, and calls that the SDK has no public name for.

Keys are those of the settings, or found as AWS' own tools find them (`S3_CREDENTIALS=aws`): then
they are temporary, and the SDK's providers get new ones before they end.
"""

from __future__ import annotations

import configparser
import hashlib
import threading
from base64 import b64encode
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import SplitResult, urlunsplit

from consumer.settings import Settings
from consumer.store.facts import NoKeys

MD5_HEADER = "Content-MD5"
ROLE_TIMEOUT_S = 5.0
"""For the services that give out keys: where there is none, the network answers nothing at all."""


class Keys:
    """Providers of the SDK, the first that has keys first; failures are worth a retry.

    Unlike the SDK's own chain it says why there are none.
    """

    def __init__(self, *providers: Any) -> None:
        self._providers = providers
        self._lock = threading.Lock()

    def retrieve(self) -> Any:
        """The SDK's `Credentials`, valid now. One call at a time asks for new ones.

        Raises:
            NoKeys: nobody gives any; it may be better later.
        """
        import urllib3.exceptions
        from minio.error import MinioException

        failures = (MinioException, urllib3.exceptions.HTTPError, configparser.Error)
        reasons: list[str] = []
        with self._lock:
            for provider in self._providers:
                try:
                    return provider.retrieve()
                except (*failures, OSError, ValueError, KeyError) as error:
                    reasons.append(f"{type(provider).__name__}: {error}"[:200])
        raise NoKeys("; ".join(reasons))


def keys(settings: Settings) -> Keys | None:
    """Where the keys of the settings come from; None for calls without any."""
    import urllib3
    from minio.credentials import providers

    if settings.s3_credentials == "aws":
        pool = urllib3.PoolManager(timeout=ROLE_TIMEOUT_S, retries=False)
        return Keys(
            providers.EnvAWSProvider(),
            providers.AWSConfigProvider(),
            providers.IamAwsProvider(http_client=pool),
        )
    if not settings.s3_access_key:
        return None
    token = settings.s3_session_token
    return Keys(
        providers.StaticProvider(
            settings.s3_access_key,
            settings.s3_secret_key.get_secret_value(),
            token.get_secret_value() if token else None,
        )
    )


def end_of(credentials: Any, wanted: datetime) -> datetime:
    """When a URL that shall live until `wanted` ends: not after the keys that signed it."""
    end = getattr(credentials, "expiration", None)  # naive, in UTC
    return wanted if end is None else min(wanted, end.replace(tzinfo=UTC))


@dataclass(frozen=True, slots=True)
class Call:
    """What is asked of the store."""

    method: str
    url: SplitResult
    headers: dict[str, str]
    """All are signed but `Content-Length`."""
    body: bytes | Iterator[bytes]
    sha256: str
    """Of the body, hexadecimal."""


def signed_call(http: Any, source: Keys | None, region: str, call: Call) -> Any:
    """One call, signed by the SDK's Signature V4 with the payload's digest; the raw answer.

    Args:
        source: of the keys; without one the call is not signed.
    """
    from minio.signer import sign_v4_s3
    from minio.time import to_amz_date, utcnow

    signed: dict[str, Any] = {}
    if source is not None:
        credentials, now = source.retrieve(), utcnow()
        token = credentials.session_token
        signed = sign_v4_s3(
            method=call.method,
            url=call.url,
            region=region,
            headers={
                **{name: value for name, value in call.headers.items() if name != "Content-Length"},
                **({"X-Amz-Security-Token": token} if token else {}),
                "Host": call.url.netloc,
                "x-amz-content-sha256": call.sha256,
                "x-amz-date": to_amz_date(now),
            },
            credentials=credentials,
            content_sha256=call.sha256,
            date=now,
        )
    return http.urlopen(
        call.method,
        urlunsplit(call.url),
        body=call.body,
        headers={**signed, **call.headers},
        redirect=False,
    )


def content_md5(blocks: Iterable[bytes]) -> str:
    """As `Content-MD5` has it (RFC 1864)."""
    digest = hashlib.md5(usedforsecurity=False)
    for block in blocks:
        digest.update(block)
    return b64encode(digest.digest()).decode()
