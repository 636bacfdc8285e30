"""One real run, watched from all sides; every test of this folder looks at the same one."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import _store
from tests.integration.observed.calls import API_KEY, SIGNATURE, get, submit_all
from tests.integration.observed.watched import Run
from tests.support.capabilities import Can
from tests.support.handles import KafkaHandle
from tests.support.otlp import collector
from tests.support.processes import die_with_parent, free_port, wait_until
from tests.support.prometheus import Prometheus, available, prometheus
from tests.support.resolve import KafkaServer, S3Server

ROOT = Path(__file__).parents[3]
ASSETS = ROOT / "consumer" / "demo_assets"
BOARD = ROOT / "deploy" / "grafana" / "dashboards" / "face2face.json"
RULES = ROOT / "deploy" / "prometheus" / "alerts.yaml"


@contextlib.contextmanager
def _process(command: str, env: dict[str, str], log: Path) -> Iterator[None]:
    with log.open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "consumer.cli", command],
            env={**os.environ, **env},
            stdout=said,
            stderr=said,
            preexec_fn=die_with_parent,
        )
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(120)
        finally:
            process.kill()
            process.wait(120)


def _families(text: bytes) -> dict[str, list[Any]]:
    return {family.name: family.samples for family in text_string_to_metric_families(text.decode())}


def _queries() -> list[str]:
    panels = json.loads(BOARD.read_text(encoding="utf-8"))["panels"]
    return [target["expr"] for panel in panels for target in panel.get("targets", ())]


def _answers(server: Prometheus, query: str) -> list[dict[str, Any]]:
    return server.ask(query.replace("$__rate_interval", "1m"))


def _has_data(server: Prometheus, query: str) -> bool:
    return bool(_answers(server, query))


def _board(server: Prometheus) -> dict[str, list[dict[str, Any]]]:
    """What each query of the board answers, once it has an answer."""
    board = {}
    for query in _queries():
        with contextlib.suppress(TimeoutError):
            wait_until(partial(_has_data, server, query), 60, query)
        board[query] = _answers(server, query)
    return board


def _firing(server: Prometheus) -> list[str]:
    alerts = server.ask('ALERTS{alertstate="firing"}')
    return [alert["metric"]["alertname"] for alert in alerts]


def _complete(url: str) -> bool:
    """True when all that is counted a little later is: a second announcement, refusals, files."""
    found = _families(get(f"{url}/metrics")[1])
    counts = {
        (s.labels["outcome"], s.labels["code"]): s.value
        for s in found.get("face2face_jobs", ())
        if s.name.endswith("_total")
    }
    reused = [s.value for s in found["face2face_jobs_reused"] if s.name.endswith("_total")]
    (scratch,), (kept,) = (found[f"face2face_{n}_bytes"] for n in ("scratch", "avatar"))
    rejected = ("rejected", "INVALID_REQUEST") in counts
    return rejected and reused == [1.0] and scratch.value > 0 and kept.value > 0


def _settings(folder: Path, http: int, gate: int, traces_url: str) -> dict[str, str]:
    return {
        "DUIX_DATA_DIR": str(folder / "data"),
        "F2F_AVATAR_DIR": str(folder / "avatars"),  # no other test's: this one watches tracking
        "F2F_HTTP_PORT": str(http),
        "F2F_GATEWAY_PORT": str(gate),
        "F2F_API_KEY": API_KEY,
        "F2F_DEVICES": "cpu",
        "F2F_THREADS": "2",
        "PERIODIC_CLEANUP_INTERVAL": "1",
        "F2F_LOG_LEVEL": "debug",
        "OTEL_EXPORTER_OTLP_ENDPOINT": traces_url,
        "OTEL_BSP_SCHEDULE_DELAY": "200",
    }


@pytest.fixture(scope="module")
def run(
    kafka_server: KafkaServer,
    s3_servers: dict[str, S3Server],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Run]:
    """Do the whole run once."""
    from tests.conftest import _STORES

    pytest.importorskip("opentelemetry.sdk", reason="the extra `otel` is not installed")
    folder = tmp_path_factory.mktemp("observed")
    kafka = KafkaHandle.fresh(kafka_server)
    kafka.require(Can.GROUPS)
    s3 = _store(next(iter(_STORES)), s3_servers, tmp_path_factory)
    kafka.create_topics()
    for name in ("speech.flac", "reference.mp4"):
        s3.client().fput_object(s3.bucket, f"inputs/{name}", str(ASSETS / name))
    http, gate = free_port(), free_port()
    service, gateway = f"http://127.0.0.1:{http}", f"http://127.0.0.1:{gate}"
    with contextlib.ExitStack() as stack:
        traces = stack.enter_context(collector())
        env = {**kafka.env, **s3.env, **_settings(folder, http, gate, traces.url)}
        processes = stack.enter_context(contextlib.ExitStack())
        processes.enter_context(_process("run", env, folder / "service.log"))
        early = get(f"{service}/readyz")[0]
        processes.enter_context(_process("gateway", env, folder / "gateway.log"))
        scraped: Prometheus | None = None
        if available():
            targets = {
                "face2face": f"127.0.0.1:{http}",
                "face2face-gateway": f"127.0.0.1:{gate}",
            }
            scraped = stack.enter_context(prometheus(folder / "prom", targets, RULES))
        key = {"X-API-Key": API_KEY}
        wait_until(lambda: get(f"{service}/readyz")[0] == 200, 120, "service ready")
        wait_until(lambda: get(f"{gateway}/readyz", **key)[0] == 200, 120, "gateway ready")
        outcomes = submit_all(gateway, s3, kafka)
        wait_until(lambda: _complete(service), 120, "all records counted")
        board = _board(scraped) if scraped is not None else {}
        metrics = _families(get(f"{service}/metrics")[1])
        metrics |= _families(get(f"{gateway}/metrics", **key)[1])
        health = json.loads(get(f"{service}/health")[1])
        gateway_health = json.loads(get(f"{gateway}/health", **key)[1])
        firing = _firing(scraped) if scraped is not None else []
        processes.close()
        logs = "".join(
            (folder / f"{name}.log").read_text(encoding="utf-8") for name in ("service", "gateway")
        )
        yield Run(
            health, gateway_health, (early, 200), metrics, board, firing, outcomes, traces, logs,
            [s3.secret_key, API_KEY, SIGNATURE],
        )  # fmt: skip
    kafka.delete_topics()
