"""The store as a command has it: closed at the end, and a fault says which settings to look at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from consumer.faults import Fault
from consumer.local.console import CommandError
from consumer.settings import Settings
from consumer.store.storage import Storage
from schemas.codes import ErrorCode


@contextmanager
def opened(settings: Settings) -> Iterator[Storage]:
    """The store of the settings.

    Raises:
        CommandError: the store does not answer, is none, or refuses; names where it was looked for.
    """
    storage = Storage(settings)
    try:
        yield storage
    except CommandError:
        raise  # not this store's: a job's outcome, say, which may be about another's keys
    except Fault as fault:
        if fault.code not in (ErrorCode.STORE_UNAVAILABLE, ErrorCode.STORE_DENIED):
            raise
        text = (
            f"{fault.what} Check S3_ENDPOINT = {settings.s3_endpoint}, S3_BUCKET ="
            f" {settings.s3_bucket}, S3_ACCESS_KEY, S3_SECRET_KEY and S3_REGION; `face2face doctor`"
            " tries them."
        )
        if "NoSuchBucket" in fault.what:
            text += " A missing bucket is made by `face2face lifecycle apply --make-bucket`."
        raise CommandError(fault.error.model_copy(update={"message": text[:4000]})) from fault
    finally:
        storage.close()
