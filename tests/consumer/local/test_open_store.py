"""Faults of the store name its settings; those of others do not."""

from __future__ import annotations

import pytest

from consumer.faults import Fault
from consumer.local.console import CommandError
from consumer.local.open_store import opened
from consumer.settings.load import load
from schemas.codes import ErrorCode, Stage

SETTINGS = load({"S3_ENDPOINT": "http://127.0.0.1:1", "S3_BUCKET": "own"})


def test_a_store_that_refuses_is_said_with_the_settings_that_name_it() -> None:
    with pytest.raises(CommandError) as told, opened(SETTINGS):
        raise Fault.of(ErrorCode.STORE_DENIED, Stage.FETCH, "bucket 'own' is not yours")
    assert "bucket 'own' is not yours. Check S3_ENDPOINT = http" in told.value.error.message


def test_a_job_that_another_store_refused_sends_nobody_to_his_own_settings() -> None:
    """`submit --wait` named the keys of its own shell where the service's did not do."""
    job = Fault.of(ErrorCode.STORE_DENIED, Stage.STORE, "output bucket 'theirs' cannot be used")
    with pytest.raises(CommandError) as told, opened(SETTINGS):
        raise CommandError(job.error)
    assert told.value.error == job.error
