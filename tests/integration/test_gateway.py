"""The whole way over HTTP: real service, real engine, real browser call, nothing between."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import httpx2
import pytest
import requests

from consumer.api_client import Face2Face
from tests.consumer.web import reply, web
from tests.support.handles import KafkaHandle
from tests.support.processes import wait_until

ASSETS = Path(__file__).parents[2] / "consumer" / "demo_assets"
COMMAND = (sys.executable, "-m", "consumer.cli")


def _read_ready(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line.strip():
        _, said = process.communicate(timeout=120)
        pytest.fail(f"it did not get ready: {said}")
    ready: dict[str, Any] = json.loads(line)
    return ready


@contextlib.contextmanager
def _command(*arguments: str, env: dict[str, str] | None = None) -> Iterator[Any]:
    process = subprocess.Popen(
        [*COMMAND, *arguments, "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **(env or {})},
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.communicate(timeout=120)


@pytest.mark.slow
async def test_the_old_call_and_the_client_make_a_video_on_a_newcomers_machine(
    tmp_path: Path,
) -> None:
    with _command("dev") as process:
        url = _read_ready(process)["gateway"]
        async with web() as site:
            for name in ("speech.flac", "reference.mp4"):
                site.answers[f"/{name}"] = reply("200 OK", (ASSETS / name).read_bytes())
            base = f"http://localhost:{site.port}"
            body = {"audio_url": f"{base}/speech.flac", "video_url": f"{base}/reference.mp4"}

            def old_client() -> Any:
                return requests.post(f"{url}/api/generate_video", json=body, timeout=280).json()

            result = await asyncio.to_thread(old_client)
        assert list(result) == ["success", "video_data", "size", "format"], result
        video = base64.b64decode(result["video_data"])
        assert len(video) == result["size"]
        (tmp_path / "old.mp4").write_bytes(video)

        async with Face2Face(url) as f2f:
            again = await f2f.generate(ASSETS / "speech.flac", ASSETS / "reference.mp4")
            await again.save(tmp_path / "new.mp4")
        for name in ("old.mp4", "new.mp4"):
            with av.open(str(tmp_path / name)) as made:
                frames = sum(1 for _ in made.decode(video=0))
            assert frames == again.completed.media.frames
        process.send_signal(signal.SIGTERM)
        process.wait(120)
        wait_until(lambda: not _listens(url), 120, "end of the gateway")


def _listens(url: str) -> bool:
    host, port = url.removeprefix("http://").split(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


@pytest.mark.usefixtures("heard_signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_the_command_serves_until_it_is_asked_to_stop(
    number: signal.Signals, kafka: KafkaHandle, service_env: dict[str, str]
) -> None:
    kafka.create_topics()
    with _command("gateway", env={**service_env, "F2F_GATEWAY_PORT": "0"}) as process:
        url = _read_ready(process)["gateway"]
        with httpx2.Client(timeout=120, trust_env=False) as http:
            wait_until(lambda: http.get(f"{url}/readyz").status_code == 200, 120, "ready")
            assert "Face2Face" in http.get(url).text
        process.send_signal(number)
        assert process.wait(120) == 0, "it ends by itself, when logs and traces are sent"


def test_secrets_do_not_reach_the_log(kafka: KafkaHandle, service_env: dict[str, str]) -> None:
    kafka.create_topics()
    secret = "a-very-secret-key"
    env = {**service_env, "F2F_GATEWAY_PORT": "0", "F2F_API_KEY": secret}
    with _command("gateway", env=env) as process:
        url = _read_ready(process)["gateway"]
        with httpx2.Client(timeout=120, trust_env=False) as http:
            headers = {"X-API-Key": secret}
            http.get(f"{url}/v1/jobs/x?token={secret}", headers=headers)
            body = {
                "audio_url": f"https://cdn.example/a.wav?X-Amz-Signature={secret}",
                "video_url": "s3://bucket/v",
            }
            answer = http.post(f"{url}/api/generate_video", json=body, headers=headers)
            assert secret not in answer.text
        process.send_signal(signal.SIGTERM)
        out, said = process.communicate(timeout=120)
    assert "generate_video" in said
    assert secret not in out + said


@pytest.mark.parametrize(
    ("env", "says"),
    [
        ({"F2F_GATEWAY_HOST": "0.0.0.0"}, "F2F_API_KEY"),
        ({"F2F_GATEWAY_PORT": "70000"}, "F2F_GATEWAY_PORT"),
        ({"F2F_GATEWAY_HOST": "192.0.2.1", "F2F_API_KEY": "k"}, "192.0.2.1"),
    ],
)
def test_settings_that_cannot_work_end_it_at_once_and_say_why(
    env: dict[str, str], says: str
) -> None:
    done = subprocess.run(
        [*COMMAND, "gateway", "--json"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, **env},
    )
    assert done.returncode == 2, done.stderr
    assert says in json.loads(done.stdout)["error"]["message"]


def test_a_port_that_is_taken_is_named(service_env: dict[str, str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [*COMMAND, "gateway", "--json", "--port", port],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env={**os.environ, **service_env},
        )
    assert done.returncode == 2
    assert port in json.loads(done.stdout)["error"]["message"]


def test_the_service_itself_imports_nothing_of_the_gateway() -> None:
    code = (
        "import sys, consumer.app\n"
        "print(sorted({'fastapi', 'httpx2', 'httpcore2', 'python_multipart'} & set(sys.modules)))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
