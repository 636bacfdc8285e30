"""A name that sets nothing is said, with the one that may be meant; what others own is not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import structlog

from consumer import logs
from consumer.settings import Settings
from consumer.settings.load import load
from consumer.settings.names import unknown_names


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("F2F_DEVICE", "F2F_DEVICES is one"),
        ("F2F_APIKEY", "F2F_API_KEY is one"),
        ("KAFKA_BOOTSTRAP_SERVER", "KAFKA_BOOTSTRAP_SERVERS is one"),
        ("S3_ACCESSKEY", "S3_ACCESS_KEY is one"),
        ("CLEANUP_DELAY_S", "CLEANUP_DELAY is one"),
        ("F2F_TYPO", "see docs/operations.md, Settings"),
    ],
)
def test_a_typing_error_is_said_with_the_name_that_may_be_meant(typed: str, meant: str) -> None:
    assert unknown_names({typed: "1"}) == [f"{typed} is no setting and does nothing; {meant}"]


def test_settings_their_files_and_what_is_read_elsewhere_are_known() -> None:
    names = [str(field.validation_alias) for field in Settings.model_fields.values()]
    every = [*names, *(f"{name}_FILE" for name in names), "F2F_WEIGHTS_DIR", "F2F_TEST_KAFKA"]
    assert unknown_names(dict.fromkeys(every, "1")) == []


@pytest.mark.parametrize(
    ("given", "protocol", "idle"),
    [
        ("KAFKA_SASL_USERNAME", "", True),
        ("KAFKA_SASL_PASSWORD_FILE", "SSL", True),
        ("KAFKA_SASL_PASSWORD", "SASL_SSL", False),
        ("KAFKA_SASL_PASSWORD", "SASL_PLAINTEXT", False),
        ("KAFKA_SSL_CA_FILE", "SASL_PLAINTEXT", True),
        ("KAFKA_SSL_CA_FILE", "SSL", False),
    ],
)
def test_settings_of_a_protocol_that_is_not_spoken_are_said(
    given: str, protocol: str, idle: bool
) -> None:
    """Who forgets the protocol is only told by the brokers that the connection was closed."""
    said = unknown_names({given: "x", "KAFKA_SECURITY_PROTOCOL": protocol})
    assert bool(said) == idle
    assert all(line.startswith(f"{given} does nothing while") for line in said)


def test_names_of_other_programs_are_left_alone() -> None:
    others = ("KAFKA_HEAP_OPTS", "KAFKA_LOG_DIRS", "S3_USE_SSL", "PATH", "DUIX_IMAGE")
    assert unknown_names(dict.fromkeys(others, "1")) == []


def test_where_the_right_name_is_given_too_one_like_it_belongs_to_somebody_else() -> None:
    both = {"KAFKA_BOOTSTRAP_SERVER": "a:1", "KAFKA_BOOTSTRAP_SERVERS": "a:1"}
    assert unknown_names(both) == []


def test_a_service_says_it_in_its_log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("F2F_DEVICE", "cpu")
    try:
        logs.configure(load({}))
    finally:
        structlog.reset_defaults()
    line = json.loads(capsys.readouterr().err.splitlines()[0])
    assert line["level"] == "warning"
    assert line["event"].startswith("F2F_DEVICE is no setting")


def test_a_command_says_it_beside_its_result(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "consumer.cli", "detect", str(tmp_path / "none.mp4"), "--json"],
        env={**os.environ, "F2F_DEVICE": "cpu"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "warning: F2F_DEVICE is no setting" in done.stderr
    assert json.loads(done.stdout)["error"]["code"] == "INPUT_NOT_FOUND"
