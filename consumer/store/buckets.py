"""What is asked of the store about its buckets: are they there, what do they expire, its clock.

Lifecycles are read and written as they are, not by the SDK's own calls: its model of the rules
drops what it does not know.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from consumer.store import expiry_rules
from consumer.store.facts import Expiry, Rules, lifecycle_missing
from consumer.store.responses import HEADLESS
from consumer.store.sdk import Sdk, code_of, error_of, failures
from consumer.store.signing import MD5_HEADER, Call, content_md5


class Buckets:
    """Calls that block."""

    def __init__(self, sdk: Sdk, endpoint: str) -> None:
        self._sdk = sdk
        self._endpoint = endpoint

    def server_time(self) -> datetime:
        """What the store's clock says, by the `Date` of an answer.

        Raises:
            OSError: the answer has none.
        """
        answer = self._sdk.http.request("HEAD", self._endpoint, redirect=False)
        said = answer.headers.get("date")
        if said is None:
            raise OSError(HEADLESS)
        return parsedate_to_datetime(said).astimezone(UTC)

    def exists(self, bucket: str) -> bool:
        """True where there is such a bucket."""
        return bool(self._sdk.client.bucket_exists(bucket))

    def ensure(self, bucket: str) -> bool:
        """Make the bucket when there is none; True when it was made."""
        if self.exists(bucket):
            return False
        try:
            self._sdk.client.make_bucket(bucket)
        except failures() as error:
            if code_of(error) not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
                raise
            return False  # another replica was quicker
        return True

    def keeps_versions(self, bucket: str) -> bool:
        """True when a removed object stays as an old version; False where the server cannot say."""
        try:
            found = self._sdk.client.get_bucket_versioning(bucket)
        except failures() as error:
            if code_of(error) in ("NotImplemented", "MethodNotAllowed", "AccessDenied"):
                return False
            raise
        return found.status in ("Enabled", "Suspended")

    def get_lifecycle(self, bucket: str) -> Rules:
        """What the server says it expires."""
        xml = self.lifecycle("GET", bucket)
        return expiry_rules.read_rules(xml) if xml else Rules()

    def set_lifecycle(
        self, bucket: str, rules: Sequence[Expiry], old_versions_days: int | None
    ) -> None:
        """Set these rules; others of the bucket stay."""
        before = self.lifecycle("GET", bucket)
        wanted = expiry_rules.merged(before or None, rules, old_versions_days)
        self.lifecycle("PUT", bucket, wanted)

    def lifecycle(self, method: str, bucket: str, body: bytes = b"") -> bytes:
        """The bucket's lifecycle as XML, read or written as it is; empty where it has none."""
        url = self._sdk.url_of_bucket(bucket)._replace(query="lifecycle=")
        headers = {MD5_HEADER: content_md5([body])} if body else {}
        sha256 = hashlib.sha256(body).hexdigest()
        answer = self._sdk.signed(Call(method, url, headers, body, sha256), self._sdk.http)
        if answer.status in (HTTPStatus.OK, HTTPStatus.NO_CONTENT):
            return bytes(answer.data)
        error = error_of(answer)
        if code_of(error) == "NoSuchLifecycleConfiguration":
            return b""
        lifecycle_missing(error)
        raise error
