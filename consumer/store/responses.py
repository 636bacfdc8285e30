"""What the store answers, read with care: bodies, listings, lengths and ETags."""

from __future__ import annotations

from typing import Any

from consumer.metrics import STORE_ERRORS
from consumer.remote.download import Cut
from consumer.store.facts import Stat

HEADLESS = "the connection broke within the headers of the answer"


class Body:
    """An open response of the SDK, for `download`."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def read(self, amount: int) -> bytes:
        """At most so many bytes; none at the end.

        Raises:
            Cut: the connection broke.
        """
        import urllib3.exceptions

        try:
            data: bytes = self._answer.read1(amount, decode_content=False)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            STORE_ERRORS.labels("fetch").inc()
            raise Cut(str(error)) from error
        return data

    def close(self) -> None:
        """Give the connection back."""
        self._answer.close()
        self._answer.release_conn()


def entry(found: Any) -> tuple[str, Stat]:
    """A line of a listing."""
    return found.object_name, Stat(found.size or 0, found.etag or "", None, found.last_modified)


def length(answer: Any) -> int:
    """Bytes of the body.

    A connection that breaks within the headers looks to `http.client` like an answer with fewer of
    them, and like one without a body: taken at its word, an input would be empty.

    Raises:
        OSError: it does not say.
    """
    text = str(answer.headers.get("content-length", ""))
    if not text.isdecimal():
        raise OSError(HEADLESS)
    return int(text)


def etag_of(answer: Any) -> str:
    """The ETag, without its quotes.

    Raises:
        OSError: it has none.
    """
    text = str(answer.headers.get("etag", "")).strip('"')
    if not text:
        raise OSError(HEADLESS)
    return text
