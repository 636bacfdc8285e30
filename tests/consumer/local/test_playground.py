"""The playground gives the service its own surroundings, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path

import pytest

from consumer.local.embedded import EmbeddedFailed
from consumer.local.playground import Playground, free_port
from consumer.settings.load import load
from tests.support.processes import wait_until
from tests.support.s3 import http_answers


def _children() -> set[int]:
    """Processes below this one, by /proc."""
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):  # a thread may end meanwhile
            found |= {int(pid) for pid in (task / "children").read_text().split()}
    return found


def test_a_service_that_cannot_start_is_said_with_its_own_words_and_all_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("F2F_SLOTS", "many")
    before = _children()
    steps: list[str] = []
    place = Playground(tmp_path, on_step=steps.append)
    with pytest.raises(EmbeddedFailed, match="F2F_SLOTS = 'many'"):
        place.start()
    assert steps == ["broker", "store", "service"]
    assert not http_answers(place.s3.endpoint, any_status=True)
    wait_until(lambda: _children() <= before, 120, "end of every child")


def test_settings_of_another_deployment_do_not_reach_the_playground(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_SECURITY_PROTOCOL", "SASL_SSL")
    monkeypatch.setenv("KAFKA_SASL_PASSWORD_FILE", "/run/secrets/kafka")
    monkeypatch.setenv("S3_PUBLIC_ENDPOINT", "https://store.example")
    monkeypatch.setenv("F2F_TOPIC_PREFIX", "production")
    monkeypatch.setenv("F2F_THREADS", "1")
    env = Playground(tmp_path).service_env()
    settings = load(env)
    assert settings.kafka_security == "PLAINTEXT"
    assert settings.s3_public_endpoint is None
    assert settings.topic_prefix == "face2face"
    assert settings.data_dir.is_relative_to(tmp_path)
    assert settings.threads == 1, "what tunes the work is the user's"


def test_a_wanted_port_is_taken_when_it_is_free_and_another_one_else() -> None:
    wanted = free_port()
    assert free_port(wanted) == wanted
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert free_port(port) != port


def test_stopping_what_never_started_does_nothing(tmp_path: Path) -> None:
    place = Playground(tmp_path)
    place.stop()
    assert place.ended()
    assert list(tmp_path.iterdir()) == []
