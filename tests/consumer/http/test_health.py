"""Health, readiness and metrics over a real socket."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import socket
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import httpx2
import pytest

from consumer import metrics
from consumer.http import idle_connections
from consumer.http.health import BACKLOG, serve
from consumer.settings import SettingsError
from consumer.settings.load import load


class Answers:
    """A source whose answers the test chooses."""

    def __init__(self) -> None:
        self.dead: str | None = None
        self.busy: str | None = None

    def live(self) -> str | None:
        return self.dead

    def ready(self) -> str | None:
        return self.busy

    def facts(self) -> dict[str, Any]:
        return {"kafka": {"member": True}}


def _get(port: int, path: str, method: str = "GET") -> tuple[int, bytes]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=120) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


async def _ask(port: int, path: str, method: str = "GET") -> tuple[int, bytes]:
    return await asyncio.to_thread(_get, port, path, method)


async def test_health_keeps_the_old_shape_and_adds_to_it(tmp_path: Path) -> None:
    source = Answers()
    settings = load({"DUIX_DATA_DIR": str(tmp_path / "no"), "F2F_HTTP_PORT": "0"})
    async with serve(settings, source) as port:
        status, body = await _ask(port, "/health")
        answer = json.loads(body)
        assert status == 200
        assert answer["status"] == "healthy"
        assert answer["data_dir"] == str(tmp_path / "no")
        assert answer["data_dir_exists"] is False
        assert isinstance(answer["timestamp"], float)
        assert answer["kafka"] == {"member": True}
        (tmp_path / "no").mkdir()
        source.busy = "draining"
        answer = json.loads((await _ask(port, "/health"))[1])
        assert (answer["status"], answer["reason"]) == ("unhealthy", "draining")
        assert answer["data_dir_exists"] is True


async def test_liveness_and_readiness_say_why(tmp_path: Path) -> None:
    source = Answers()
    async with serve(load({"F2F_HTTP_PORT": "0"}), source) as port:
        assert (await _ask(port, "/livez"))[0] == (await _ask(port, "/readyz"))[0] == 200
        source.busy = "no worker"
        assert (await _ask(port, "/livez"))[0] == 200
        status, body = await _ask(port, "/readyz")
        assert (status, json.loads(body)["reason"]) == (503, "no worker")
        source.dead = "the loop has ended"
        assert (await _ask(port, "/livez"))[0] == 503


async def test_metrics_are_prometheus_text_and_other_paths_are_named(tmp_path: Path) -> None:
    metrics.JOB_SECONDS.labels("completed")
    async with serve(load({"F2F_HTTP_PORT": "0"}), Answers()) as port:
        status, body = await _ask(port, "/metrics")
        assert status == 200
        assert b"# TYPE face2face_job_duration_seconds histogram" in body
        assert (await _ask(port, "/nowhere"))[0] == 404
        assert (await _ask(port, "/health", "POST"))[0] == 405
        assert (await _ask(port, "/health", "HEAD")) == (200, b"")
        async with httpx2.AsyncClient(trust_env=False) as http:
            answer = await http.post(f"http://127.0.0.1:{port}/readyz")
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


async def test_signals_stay_the_applications_own() -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    async with serve(load({"F2F_HTTP_PORT": "0"}), Answers()):
        assert {number: signal.getsignal(number) for number in before} == before


async def test_a_port_in_use_is_a_setting_that_cannot_work() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f"F2F_HTTP_PORT = 127.0.0.1:{port}"):
            async with serve(load({"F2F_HTTP_PORT": str(port)}), Answers()):
                pass


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
async def test_every_address_of_a_pod_is_listened_on_whatever_its_family() -> None:
    settings = load({"F2F_HTTP_HOST": "::", "F2F_HTTP_PORT": "0"})
    async with serve(settings, Answers()) as port:
        assert (await _ask(port, "/livez"))[0] == 200  # over IPv4
        async with httpx2.AsyncClient(trust_env=False) as client:
            assert (await client.get(f"http://[::1]:{port}/livez", timeout=120)).status_code == 200


async def test_a_connection_that_asks_for_nothing_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idle_connections, "HEAD_S", 0.05)
    settings = load({"DUIX_DATA_DIR": str(tmp_path), "F2F_HTTP_PORT": "0"})
    async with serve(settings, Answers()) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        async with asyncio.timeout(120):
            assert await reader.read() == b""
        writer.close()


async def test_a_probe_that_no_file_is_left_for_is_a_few_lines_of_log(tmp_path: Path) -> None:
    """It was two thousand, each with a traceback, at the first probe."""
    told: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: told.append(context))
    settings = load({"DUIX_DATA_DIR": str(tmp_path), "F2F_HTTP_PORT": "0"})
    before, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket() as probe:
        async with serve(settings, Answers()) as port:
            next_file = os.dup(0)
            os.close(next_file)
            resource.setrlimit(resource.RLIMIT_NOFILE, (next_file, most))
            try:
                probe.connect(("127.0.0.1", port))  # the kernel's: nobody need accept it
                async with asyncio.timeout(120):
                    while not told:
                        await asyncio.sleep(0)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (before, most))
    assert "accept" in told[0]["message"]
    assert len(told) <= BACKLOG
