"""`face2face lifecycle` against every store: those that expire, and those that do not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from typing import Any

from tests.support.capabilities import Can
from tests.support.handles import S3Handle


def _lifecycle(s3: S3Handle, *arguments: str, **env: str) -> tuple[int, dict[str, Any], str]:
    done = subprocess.run(
        [sys.executable, "-m", "consumer.cli", "lifecycle", *arguments, "--json"],
        capture_output=True,
        text=True,
        env={**os.environ, **s3.env, **env},
        timeout=120,
        check=False,
    )
    return done.returncode, json.loads(done.stdout), done.stderr


def test_rules_are_missing_then_applied_then_in_order(every_s3: S3Handle) -> None:
    able = Can.LIFECYCLE in every_s3.capabilities
    code, before, said = _lifecycle(every_s3, "check")
    assert (code, before["ok"], before["supported"]) == (1, False, able)
    assert "warning: " in said
    code, applied, _ = _lifecycle(every_s3, "apply")
    assert (code, applied["ok"]) == (0, able)
    code, after, _ = _lifecycle(every_s3, "check")
    assert (code == 0) is able
    assert {rule["prefix"] for rule in after["rules"]} == {
        "inputs/", "results/", "avatars/", "attempts/",
    }  # fmt: skip


def test_a_missing_bucket_is_made_only_when_asked_for(s3: S3Handle) -> None:
    name = f"t{uuid.uuid4().hex[:16]}"
    code, refused, _ = _lifecycle(s3, "apply", S3_BUCKET=name)
    assert (code, refused["error"]["code"]) == (1, "STORE_DENIED")
    assert "made by `face2face lifecycle apply --make-bucket`" in refused["error"]["message"]
    code, _, said = _lifecycle(s3, "apply", "--make-bucket", S3_BUCKET=name)
    assert code == 0
    assert f"made bucket {name!r}" in said
    assert s3.client().bucket_exists(name)


def test_a_file_of_one_s_own_is_checked_first(s3: S3Handle) -> None:
    code, refused, _ = _lifecycle(s3, "apply", "--file", "/nowhere.yaml")
    assert (code, refused["error"]["code"]) == (2, "INVALID_REQUEST")
