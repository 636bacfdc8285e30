"""One real run, watched from all sides; every test of this folder looks at the same one."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.integration.observed.calls import API_KEY, SIGNATURE, get, submit_all
from tests.integration.observed.watched import Run
from tests.support.capabilities import Can
from tests.support.handles import KafkaHandle
from tests.support.otlp import Collector, collector
from tests.support.processes import die_with_parent, free_port, wait_until
from tests.support.prometheus import Prometheus, available, prometheus
from tests.support.resolve import KafkaServer
from tests.support.stores import Stores

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
    kafka_server: KafkaServer, stores: Stores, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Run]:
    """Do the whole run once."""
    pytest.importorskip("opentelemetry.sdk", reason="the extra `otel` is not installed")
    folder = tmp_path_factory.mktemp("observed")
    kafka = KafkaHandle.fresh(kafka_server)
    kafka.require(Can.GROUPS)
    s3 = stores.fresh()
    kafka.create_topics()
    for name in ("speech.flac", "reference.mp4"):
        s3.client().fput_object(s3.bucket, f"inputs/{name}", str(ASSETS / name))
    http, gate = free_port(), free_port()
    with collector() as traces, contextlib.ExitStack() as stack:
        env = {**kafka.env, **s3.env, **_settings(folder, http, gate, traces.url)}
        with _process("run", env, folder / "service.log"):
            early = get(f"http://127.0.0.1:{http}/readyz")[0]
            with _process("gateway", env, folder / "gateway.log"):
                scraped = _scraped(stack, folder, http, gate)
                seen = _watched(http, gate, scraped, traces, lambda url: submit_all(url, s3, kafka))
        seen.ready, seen.logs = (early, 200), _logs(folder)
        seen.secrets = [s3.secret_key, API_KEY, SIGNATURE]
        yield seen
    kafka.delete_topics()


def _scraped(stack: contextlib.ExitStack, folder: Path, http: int, gate: int) -> Prometheus | None:
    """A Prometheus that watches both processes, where this machine has one."""
    if not available():
        return None
    targets = {"face2face": f"127.0.0.1:{http}", "face2face-gateway": f"127.0.0.1:{gate}"}
    return stack.enter_context(prometheus(folder / "prom", targets, RULES))


def _watched(
    http: int,
    gate: int,
    scraped: Prometheus | None,
    traces: Collector,
    submit: Callable[[str], dict[str, Any]],
) -> Run:
    """Submit everything to a service and a gateway that run, and ask them all that they tell."""
    service, gateway = (f"http://127.0.0.1:{port}" for port in (http, gate))
    key = {"X-API-Key": API_KEY}
    wait_until(lambda: get(f"{service}/readyz")[0] == 200, 120, "service ready")
    wait_until(lambda: get(f"{gateway}/readyz", **key)[0] == 200, 120, "gateway ready")
    outcomes = submit(gateway)
    wait_until(lambda: _complete(service), 120, "all records counted")
    board = _board(scraped) if scraped is not None else {}
    metrics = _families(get(f"{service}/metrics")[1])
    metrics |= _families(get(f"{gateway}/metrics", **key)[1])
    return Run(
        health=json.loads(get(f"{service}/health")[1]),
        gateway_health=json.loads(get(f"{gateway}/health", **key)[1]),
        metrics=metrics,
        board=board,
        firing=_firing(scraped) if scraped is not None else [],
        outcomes=outcomes,
        traces=traces,
    )


def _logs(folder: Path) -> str:
    names = ("service.log", "gateway.log")
    return "".join((folder / name).read_text(encoding="utf-8") for name in names)
