"""The programs that the documents show to other developers work as they are printed there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer

from schemas.topics import Topics
from tests.support.capabilities import unavailable
from tests.support.handles import KafkaHandle
from tests.support.kafka import ApacheKafka
from tests.support.packages import KAFKA

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
ROOT = Path(__file__).parents[2]
CONTRACT = (ROOT / "docs" / "contract.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
GO_CLIENT = Path(__file__).parent / "go_client"
MP4 = b"an MP4"
TOPICS = Topics()


def _block(text: str, language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert found is not None
    return found[1]


def _example(name: str, **changed: Any) -> bytes:
    event: dict[str, Any] = json.loads(_block(CONTRACT, f"json {name}"))
    return json.dumps(event | changed).encode()


@pytest.fixture
def broker(own_kafka: ApacheKafka) -> str:
    """Address of a real broker with the service's topics."""
    capabilities = own_kafka.capabilities
    KafkaHandle("own", own_kafka.servers, capabilities, TOPICS.prefix).create_topics()
    return own_kafka.servers


@contextmanager
def _service(broker: str, folder: Path) -> Iterator[dict[str, Any]]:
    """Answers the first request as the service would, and yields it.

    A stranger's outcome comes before the answer, and a copy after it. The request is there when the
    program is done.
    """
    (folder / "result.mp4").write_bytes(MP4)
    files = ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(folder))
    )
    url = f"http://127.0.0.1:{files.server_port}/result.mp4"
    heard: dict[str, Any] = {}
    threads = [
        threading.Thread(target=files.serve_forever, daemon=True),
        threading.Thread(target=_answer, args=(broker, url, heard), daemon=True),
    ]
    for thread in threads:
        thread.start()
    try:
        yield heard
    finally:
        files.shutdown()
        files.server_close()
        threads[0].join(60)


def _answer(broker: str, url: str, heard: dict[str, Any]) -> None:
    settings = {"bootstrap.servers": broker, "log_level": 0}
    reader = Consumer(settings | {"group.id": "service", "auto.offset.reset": "earliest"})
    reader.subscribe([TOPICS.requests])
    (record,) = reader.consume(1, timeout=300)
    heard.update(json.loads(record.value() or b""))
    reader.close()
    job = heard["job_id"]
    sender = Producer(settings)
    for ce_id, job_id in (("0", "a-stranger"), ("1", job), ("1", job)):
        if "nope" in heard["video_url"]:
            topic, event = TOPICS.failed, _example("failed.v1", job_id=job_id)
        else:
            topic = TOPICS.completed
            theirs = url if job_id == job else url.replace("result", "stranger")
            event = _example("completed.v1", job_id=job_id, download_url=theirs)
        sender.produce(topic, event, key=job_id, headers={"ce_id": ce_id})
        sender.flush(120)


def _order(
    program: Sequence[str], broker: str, folder: Path, video: str
) -> subprocess.CompletedProcess[str]:
    """Run a program that takes speech, video and job id, in a folder of its own."""
    return subprocess.run(
        [*program, "s3://face2face/inputs/speech.wav", video, "order-1"],
        cwd=folder,
        env=os.environ | {"KAFKA_BOOTSTRAP_SERVERS": broker},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )


def _check_own_job(
    done: subprocess.CompletedProcess[str], heard: dict[str, Any], folder: Path
) -> None:
    assert done.returncode == 0, done.stderr
    assert heard == {
        "job_id": "order-1",
        "audio_url": "s3://face2face/inputs/speech.wav",
        "video_url": "s3://face2face/inputs/face.mp4",
    }
    assert (folder / "out.mp4").read_bytes() == MP4


def _java(broker: str, folder: Path, video: str) -> subprocess.CompletedProcess[str]:
    program = folder / "Client.java"
    program.write_text(_block(CONTRACT, "java"), encoding="utf-8")
    return _order(["java", "-cp", f"{KAFKA.home}/lib/*", str(program)], broker, folder, video)


def test_the_program_in_java_fetches_the_mp4_of_its_own_job(broker: str, tmp_path: Path) -> None:
    with _service(broker, tmp_path) as heard:
        done = _java(broker, tmp_path, "s3://face2face/inputs/face.mp4")
    _check_own_job(done, heard, tmp_path)


def test_the_program_in_java_says_why_a_job_failed(broker: str, tmp_path: Path) -> None:
    with _service(broker, tmp_path):
        done = _java(broker, tmp_path, "s3://face2face/nope.mp4")
    assert done.returncode == 1, done.stderr
    assert "NO_FACE" in done.stderr


def _built(folder: Path) -> Path:
    """The program in Go, built with the client that `go_client/go.sum` pins."""
    if shutil.which("go") is None:
        unavailable("the program in Go needs Go ≥ 1.24 on the PATH")
    for name in ("go.mod", "go.sum"):
        shutil.copy(GO_CLIENT / name, folder / name)
    # its module cache is the machine's own, and its first download the one thing that may fail
    fetched = _go("mod", "download", folder=folder)
    if fetched.returncode != 0:
        unavailable(f"kafka-go cannot be fetched: {fetched.stderr.strip()[-500:]}")
    (folder / "main.go").write_text(_block(CONTRACT, "go"), encoding="utf-8")
    made = _go("build", "-mod=readonly", "-o", "client", ".", folder=folder)
    assert made.returncode == 0, made.stderr
    return folder / "client"


def _go(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["go", *arguments],
        cwd=folder,
        env=os.environ | {"GOFLAGS": "-buildvcs=false", "GOWORK": "off"},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )


def test_the_program_in_go_fetches_the_mp4_of_its_own_job(broker: str, tmp_path: Path) -> None:
    program = _built(tmp_path)
    with _service(broker, tmp_path) as heard:
        done = _order([str(program)], broker, tmp_path, "s3://face2face/inputs/face.mp4")
    _check_own_job(done, heard, tmp_path)


def test_the_program_in_go_says_why_a_job_failed(broker: str, tmp_path: Path) -> None:
    program = _built(tmp_path)
    with _service(broker, tmp_path):
        done = _order([str(program)], broker, tmp_path, "s3://face2face/nope.mp4")
    assert done.returncode == 1, done.stderr
    assert "NO_FACE" in done.stderr


def test_the_lines_of_python_print_where_the_mp4_is(broker: str, tmp_path: Path) -> None:
    with _service(broker, tmp_path) as heard:
        done = subprocess.run(
            [sys.executable, "-c", _block(README, "python")],
            env=os.environ | {"KAFKA_BOOTSTRAP_SERVERS": broker},
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert heard["job_id"] == "my-2"
    assert done.stdout.strip().endswith("/result.mp4")
