"""What the store's answers are called here: facts of objects, and errors in our own words.

Knows the S3 error codes and the shape of the SDK's errors, not the SDK.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from consumer.faults import Fault
from schemas.codes import ErrorCode, Stage

SHA256_META = "x-amz-meta-sha256"
"""What the writer says of an object's content, as the header that carries it."""
NOTHING = ""
"""In the place of an ETag: of no object."""


@dataclass(frozen=True, slots=True)
class Stat:
    """An object's facts without its content."""

    size: int
    etag: str
    sha256: str | None
    """As the writer stated it; None on objects that this service did not write."""
    modified: datetime | None = None


@dataclass(frozen=True, slots=True)
class Expiry:
    """One rule: objects under a prefix go after so many days."""

    prefix: str
    days: int


@dataclass(frozen=True, slots=True)
class Rules:
    """What a bucket's lifecycle expires, by prefix."""

    expiries: tuple[Expiry, ...] = ()
    old_versions: tuple[Expiry, ...] = ()
    """Days after which a replaced or removed version of an object goes, in versioned buckets."""


class NoLifecycle(Exception):
    """This server has no lifecycle rules."""


class NoKeys(OSError):
    """Nobody gives the service keys to sign with now; the text says why."""


class Missing(Exception):
    """No such object."""


_KEYS = frozenset(
    {
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "InvalidTokenId",
        "InvalidToken",
        "ExpiredToken",
        "TokenRefreshRequired",
        "AuthorizationHeaderMalformed",
    }
)
"""The store knows our keys no more, or not yet: no job's fault, and no bucket's."""
_AGAIN = frozenset(
    {"SlowDown", "RequestTimeout", "InternalError", "ServiceUnavailable"}
    | {"ConditionalRequestConflict", "OperationAborted"}  # 409: somebody writes this key just now
    | {"Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequests"}
)
_AGAIN_STATUSES = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)
MOST_SKEW_S = 900.0
"""S3 servers refuse what was signed by a clock that is further off than a quarter of an hour."""
_NAMES = frozenset(
    {
        "XMinioInvalidObjectName",
        "XMinioParentIsObject",
        "XMinioObjectExistsAsDirectory",
        "KeyTooLongError",
        "ObjectParentIsFile",
        "ExistingObjectIsDirectory",
    }
)
"""The key is none for this store, or another object is in its way: who named it must change it."""
_FULL = frozenset({"QuotaExceeded", "XMinioAdminBucketQuotaExceeded"})
"""The bucket takes no more, until somebody makes room: unlike a right, that changes by itself."""
_NO_STORE = frozenset({"InvalidResponseError", "ParseError"})
"""Errors of the SDK about answers that are not S3's; it says no more than that."""
_NO_ELEMENT = "XML element <"
"""So begins the text of its ValueError about XML of something else."""


def denied(text: str) -> Fault:
    """STORE_DENIED with a text."""
    return Fault.of(ErrorCode.STORE_DENIED, Stage.STORE, text)


def explain(error: Exception, what: str, *, reading: bool = False) -> Fault:
    """The Fault of an error of the SDK or of the connection. No URL of a request is shown."""
    stage = Stage.FETCH if reading else Stage.STORE
    code: str | None = getattr(error, "code", None)
    status: int | None = getattr(getattr(error, "response", None), "status", None)
    kind = type(error).__name__
    if kind in _NO_STORE or str(error).startswith(_NO_ELEMENT):
        text = f"{what}: what answers is no S3 store ({kind})"
        return Fault.of(ErrorCode.STORE_UNAVAILABLE, stage, text)
    if isinstance(error, NoKeys):
        return Fault.of(ErrorCode.STORE_UNAVAILABLE, stage, f"{what}: no keys for it ({error})")
    if code in _KEYS:
        said = f": {error}" if code == "AuthorizationHeaderMalformed" else ""  # a wrong region
        text = f"{what}: the store does not take the service's keys ({code}{said})"
        return Fault.of(ErrorCode.STORE_UNAVAILABLE, stage, text)
    off_s = _ahead_s(error)
    if code == "RequestTimeTooSkewed" or (
        status == HTTPStatus.FORBIDDEN and abs(off_s) >= MOST_SKEW_S  # to a HEAD it says no code
    ):
        where = f"{abs(off_s) / 60:.0f} min {'ahead of' if off_s > 0 else 'behind'}"
        text = f"{what}: refused, as this machine's clock is {where} the store's; let NTP set both"
        return Fault.of(ErrorCode.STORE_UNAVAILABLE, stage, text, clock_ahead_s=round(off_s))
    answer = code or f"HTTP {status}"
    failing = status is not None and status >= HTTPStatus.INTERNAL_SERVER_ERROR
    if failing or code in _AGAIN or status in _AGAIN_STATUSES:
        return Fault.of(ErrorCode.STORE_UNAVAILABLE, stage, f"{what}: the store answers {answer}")
    if code in _FULL:
        return Fault.of(ErrorCode.STORE_FULL, stage, f"{what}: the store answers {code}")
    if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        text = f"{what}: the store answers {answer}{_why_locked(error)}"
        return Fault.of(ErrorCode.STORE_DENIED, stage, text)
    if code in _NAMES and not reading:
        text = f"field 'output.prefix': {what}: the store takes no such name ({code})"
        return Fault.of(ErrorCode.INVALID_REQUEST, stage, text)
    if code is not None or isinstance(error, ValueError):
        wrong = ErrorCode.INPUT_NOT_FOUND if reading else ErrorCode.STORE_DENIED
        reason = f"the store answers {code}" if code else str(error)
        return Fault.of(wrong, stage, f"{what}: {reason}")
    text = f"{what}: {_untrusted(error) or f'no answer ({kind})'}"
    return Fault.of(ErrorCode.STORE_UNAVAILABLE, stage, text)


def _untrusted(error: Exception) -> str | None:
    """Why TLS did not come about; None where that is not what happened."""
    for found in (error, error.__cause__, *error.args):
        if isinstance(found, ssl.SSLCertVerificationError):
            return (
                f"its certificate is not trusted ({found.verify_message}); "
                "S3_CA_FILE names who signs it"
            )
        if isinstance(found, ssl.SSLError):
            return f"no TLS with it ({found.reason}); see whether S3_ENDPOINT is http or https"
    return None


def _why_locked(error: Exception) -> str:
    """What is no matter of rights: a bucket whose objects may not be changed for a time."""
    if "object lock" not in str(getattr(error, "message", "")).lower():
        return ""
    return ", as Object Lock keeps what is there; take a bucket without a default retention"


def _ahead_s(error: Exception) -> float:
    """Seconds that this machine's clock is ahead of the one that dated the store's answer."""
    headers = getattr(getattr(error, "response", None), "headers", {})
    try:
        theirs = parsedate_to_datetime(headers.get("date", ""))
        return (datetime.now(UTC) - theirs).total_seconds()
    except (ValueError, TypeError):  # no date, or one without a zone
        return 0.0


def lifecycle_missing(error: Exception) -> None:
    """Raise NoLifecycle when the server says that it has no such thing."""
    if getattr(error, "code", None) in ("NotImplemented", "MethodNotAllowed"):
        raise NoLifecycle from error
