"""The playground gives the service its own surroundings, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from pathlib import Path
from typing import Any

import pytest

from consumer.http.health import serve
from consumer.local import playground
from consumer.local.embedded import EmbeddedFailed, NoRoom
from consumer.local.playground import Playground, free_port
from consumer.settings import SettingsError
from consumer.settings.load import load
from consumer.state import State
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
    tmp_path: Path,
) -> None:
    before = _children()
    steps: list[str] = []
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        place = Playground(tmp_path, http_port=taken.getsockname()[1], on_step=steps.append)
        with pytest.raises(EmbeddedFailed, match="cannot listen there"):
            place.start()
    assert steps == ["broker", "store", "service"]
    assert not http_answers(place.s3.endpoint, any_status=True)
    wait_until(lambda: _children() <= before, 120, "end of every child")


@pytest.mark.parametrize(
    ("name", "value", "error", "said"),
    [
        ("F2F_SLOTS", "many", SettingsError, "F2F_SLOTS = 'many'"),
        ("F2F_MIN_FREE_BYTES", str(2**50), NoRoom, "bytes free, fewer than .* by TMPDIR"),
    ],
)
def test_what_would_keep_the_service_from_work_is_said_before_anything_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, error: Any, said: str
) -> None:
    monkeypatch.setenv(name, value)
    steps: list[str] = []
    with pytest.raises(error, match=said):
        Playground(tmp_path, on_step=steps.append).start()
    assert steps == []


def test_who_waits_long_for_the_service_is_told_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(playground, "QUIET_S", 0.0)
    told: list[str] = []
    with Playground(tmp_path, on_wait=told.append):
        pass
    assert told
    assert all(line.startswith("the service is not ready yet: ") for line in told)
    assert not any("{" in line for line in told), "they are for people"


async def test_the_wait_is_told_in_the_words_of_readyz(tmp_path: Path) -> None:
    """It gave the answer as it came, as JSON."""
    state = State("a group")
    settings = load({"DUIX_DATA_DIR": str(tmp_path), "F2F_HTTP_PORT": "0"})
    async with serve(settings, state) as port:
        url = f"http://127.0.0.1:{port}/readyz"
        state.phase = "joining the group"
        assert await asyncio.to_thread(playground._why_unready, url) == "joining the group"
    assert await asyncio.to_thread(playground._why_unready, url) == "it does not answer yet"


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
