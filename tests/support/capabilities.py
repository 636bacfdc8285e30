"""What a server can do beyond the least, and what happens to a test that needs more."""

from __future__ import annotations

import os
from collections.abc import Iterable
from enum import StrEnum
from typing import NoReturn

import pytest


class Can(StrEnum):
    """One ability that not every server of the resolution order has."""

    GROUPS = "groups"
    """Several members in one consumer group, with rebalances."""
    TIMES = "times"
    """Offsets looked up by time."""
    ADMIN = "admin"
    """Topics created and described by admin calls, with partitions and configs as asked."""
    SIGNATURES = "signatures"
    """S3 signatures and expiries are checked."""
    LIFECYCLE = "lifecycle"
    """Bucket lifecycle rules are stored, validated and given back."""
    RULES = "rules"
    """Lifecycle rules of others come back whole, whatever they hold."""
    CONDITIONAL_PUT = "conditional-put"
    """`If-None-Match: *` on PUT answers 412 when the object exists."""
    ACCOUNTS = "accounts"
    """Accounts with a policy of their own, and temporary ones, can be made (MinIO's own calls)."""
    PROCESS = "process"
    """The server is a process of ours that can be killed and started again on its data."""


def strict() -> bool:
    """True when a test without its server must fail instead of skip (`F2F_TEST_STRICT=1`)."""
    return os.environ.get("F2F_TEST_STRICT", "") not in ("", "0")


def unavailable(reason: str) -> NoReturn:
    """End the test: skipped with the reason, or failed with it under `F2F_TEST_STRICT=1`."""
    if strict():
        pytest.fail(f"{reason} (F2F_TEST_STRICT=1)", pytrace=False)
    pytest.skip(reason)


def require(server: str, has: Iterable[Can], needed: Iterable[Can]) -> None:
    """Let the test go on only when the server has all that it needs."""
    missing = sorted(set(needed) - set(has))
    if missing:
        unavailable(
            f"{server} cannot: {', '.join(missing)}; `make test-servers` builds one that can"
        )
