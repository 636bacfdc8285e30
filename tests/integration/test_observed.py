"""One real run, watched from all sides: health, metrics, board, traces and logs.

Service and gateway as processes, the real engine, a broker, a store, a collector of traces, and a
Prometheus where one is installed. The run has a job that works, one that is asked for twice, and
every kind of failure that needs no broken server.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import _store
from tests.support.capabilities import Can
from tests.support.handles import KafkaHandle, S3Handle
from tests.support.otlp import Collector, collector
from tests.support.processes import die_with_parent, free_port, wait_until
from tests.support.prometheus import Prometheus, available, prometheus
from tests.support.resolve import KafkaServer, S3Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
ROOT = Path(__file__).parents[2]
ASSETS = ROOT / "consumer" / "demo_assets"
BOARD = ROOT / "deploy" / "grafana" / "dashboards" / "face2face.json"
RULES = ROOT / "deploy" / "prometheus" / "alerts.yaml"
API_KEY = "key-that-no-log-may-hold"
SIGNATURE = "5f1c0ffee0signature"
TRACE = "0af7651916cd43dd8448eb211c80319c"


@dataclass
class Run:
    """What one run left behind."""

    health: dict[str, Any]
    gateway_health: dict[str, Any]
    ready: tuple[int, int]
    metrics: dict[str, list[Any]]
    """Samples by family, of service and gateway."""
    board: dict[str, list[dict[str, Any]]]
    """Answers by query; empty without Prometheus."""
    firing: list[str]
    outcomes: dict[str, dict[str, Any]]
    traces: Collector
    logs: str
    secrets: list[str]
    download_url: str = ""
    seen: dict[str, Any] = field(default_factory=dict)


def _get(url: str, **headers: str) -> tuple[int, bytes]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(url, headers=headers)
    try:
        with opener.open(request, timeout=120) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except OSError:
        return 0, b""


def _post(url: str, body: dict[str, Any], **headers: str) -> tuple[int, dict[str, Any]]:
    data = json.dumps(body).encode()
    request = urllib.request.Request(
        url, data, {"Content-Type": "application/json", "X-API-Key": API_KEY, **headers}
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=120) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


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


def _job(gateway: str, job_id: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        _get(f"{gateway}/v1/jobs/{job_id}", **{"X-API-Key": API_KEY})[1]
    )
    return found


def _ended(gateway: str, job_id: str) -> bool:
    return _job(gateway, job_id).get("state") in ("completed", "failed")


def _families(text: bytes) -> dict[str, list[Any]]:
    return {family.name: family.samples for family in text_string_to_metric_families(text.decode())}


def _queries() -> list[str]:
    panels = json.loads(BOARD.read_text(encoding="utf-8"))["panels"]
    return [target["expr"] for panel in panels for target in panel.get("targets", ())]


def _send_rubbish(kafka: KafkaHandle) -> None:
    producer = Producer({"bootstrap.servers": kafka.servers})
    producer.produce(kafka.topics.requests, b"{ this is no JSON", key=b"rubbish")
    assert producer.flush(120) == 0


def _submit_all(gateway: str, s3: S3Handle, kafka: KafkaHandle) -> dict[str, dict[str, Any]]:
    """Send what the run consists of, and wait for every end."""
    good = {
        "audio_url": f"s3://{s3.bucket}/inputs/speech.flac",
        "video_url": f"s3://{s3.bucket}/inputs/reference.mp4",
    }
    jobs: dict[str, dict[str, Any]] = {
        "good": good,
        "missing": {**good, "audio_url": f"s3://{s3.bucket}/inputs/nothing.wav"},
        "signed": {
            **good,
            "audio_url": f"s3://{s3.bucket}/inputs/a.wav",
            "metadata": {"link": f"https://cdn.example/a?X-Amz-Signature={SIGNATURE}"},
        },
    }
    for job_id, body in jobs.items():
        status, answer = _post(
            f"{gateway}/v1/jobs",
            {**body, "job_id": job_id},
            traceparent=f"00-{TRACE}-b7ad6b7169203331-01",
        )
        assert status == 202, answer
    refused, answer = _post(
        f"{gateway}/v1/jobs",
        {**good, "audio_url": f"https://cdn.example/a.wav?X-Amz-Signature={SIGNATURE}"},
    )
    assert refused in (202, 400, 403, 422), answer
    _send_rubbish(kafka)
    for job_id in jobs:
        wait_until(partial(_ended, gateway, job_id), 300, f"end of {job_id}")
    _post(f"{gateway}/v1/jobs", {**good, "job_id": "good"})
    return {job_id: _job(gateway, job_id) for job_id in jobs}


def _answers(server: Prometheus, query: str) -> list[dict[str, Any]]:
    return server.ask(query.replace("$__rate_interval", "1m"))


def _has_data(server: Prometheus, query: str) -> bool:
    return bool(_answers(server, query))


def _complete(url: str) -> bool:
    """True when all that is counted a little later is: a second announcement, refusals, files."""
    found = _families(_get(f"{url}/metrics")[1])
    counts = {
        (s.labels["outcome"], s.labels["code"]): s.value
        for s in found.get("face2face_jobs", ())
        if s.name.endswith("_total")
    }
    reused = [s.value for s in found["face2face_jobs_reused"] if s.name.endswith("_total")]
    (scratch,), (kept,) = (found[f"face2face_{n}_bytes"] for n in ("scratch", "avatar"))
    rejected = ("rejected", "INVALID_REQUEST") in counts
    return rejected and reused == [1.0] and scratch.value > 0 and kept.value > 0


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
        env = {
            **kafka.env,
            **s3.env,
            "DUIX_DATA_DIR": str(folder / "data"),
            "F2F_AVATAR_DIR": str(folder / "avatars"),  # no other test's: this one watches tracking
            "F2F_HTTP_PORT": str(http),
            "F2F_GATEWAY_PORT": str(gate),
            "F2F_API_KEY": API_KEY,
            "F2F_DEVICES": "cpu",
            "F2F_THREADS": "2",
            "PERIODIC_CLEANUP_INTERVAL": "1",
            "F2F_LOG_LEVEL": "debug",
            "OTEL_EXPORTER_OTLP_ENDPOINT": traces.url,
            "OTEL_BSP_SCHEDULE_DELAY": "200",
        }
        processes = stack.enter_context(contextlib.ExitStack())
        processes.enter_context(_process("run", env, folder / "service.log"))
        early = _get(f"{service}/readyz")[0]
        processes.enter_context(_process("gateway", env, folder / "gateway.log"))
        scraped: Prometheus | None = None
        if available():
            targets = {
                "face2face": f"127.0.0.1:{http}",
                "face2face-gateway": f"127.0.0.1:{gate}",
            }
            scraped = stack.enter_context(prometheus(folder / "prom", targets, RULES))
        key = {"X-API-Key": API_KEY}
        wait_until(lambda: _get(f"{service}/readyz")[0] == 200, 120, "service ready")
        wait_until(lambda: _get(f"{gateway}/readyz", **key)[0] == 200, 120, "gateway ready")
        outcomes = _submit_all(gateway, s3, kafka)
        wait_until(lambda: _complete(service), 120, "all records counted")
        board: dict[str, list[dict[str, Any]]] = {}
        if scraped is not None:
            server = scraped
            for query in _queries():
                with contextlib.suppress(TimeoutError):
                    wait_until(partial(_has_data, server, query), 60, query)
                board[query] = _answers(server, query)
        metrics = _families(_get(f"{service}/metrics")[1])
        metrics |= _families(_get(f"{gateway}/metrics", **key)[1])
        health = json.loads(_get(f"{service}/health")[1])
        gateway_health = json.loads(_get(f"{gateway}/health", **key)[1])
        firing = []
        if scraped is not None:
            alerts = scraped.ask('ALERTS{alertstate="firing"}')
            firing = [alert["metric"]["alertname"] for alert in alerts]
        processes.close()
        logs = "".join(
            (folder / f"{name}.log").read_text(encoding="utf-8") for name in ("service", "gateway")
        )
        yield Run(
            health, gateway_health, (early, 200), metrics, board, firing, outcomes, traces, logs,
            [s3.secret_key, API_KEY, SIGNATURE],
        )  # fmt: skip
    kafka.delete_topics()


def test_the_run_had_a_good_end_and_bad_ones(run: Run) -> None:
    assert run.outcomes["good"]["state"] == "completed", run.outcomes["good"]
    assert run.outcomes["missing"]["state"] == "failed"
    assert run.outcomes["signed"]["state"] == "failed"


def test_health_has_the_old_keys_and_all_that_an_operator_asks_for(run: Run) -> None:
    health = run.health
    assert health["status"] == "healthy", health
    assert set(health) >= {"status", "data_dir", "data_dir_exists", "timestamp"}
    assert health["data_dir_exists"] is True
    assert health["version"] == version("face2face")
    assert health["engines"]["viseme"]
    assert health["kafka"]["member"] is True
    assert health["kafka"]["group"].endswith("-group")
    assert health["workers"]["cpu"]["state"] == "ready"
    assert health["store"]["ok"] is True
    assert health["disk"]["free_bytes"] > health["disk"]["min_free_bytes"] > 0
    assert set(run.gateway_health) >= {"status", "data_dir", "data_dir_exists", "timestamp"}
    assert run.gateway_health["version"] == version("face2face")


def test_it_was_not_ready_before_it_was(run: Run) -> None:
    assert run.ready[0] in (0, 503)


MOVED = (
    "face2face_job_duration_seconds", "face2face_queue_wait_seconds", "face2face_stage_seconds",
    "face2face_frames", "face2face_jobs", "face2face_jobs_reused", "face2face_slots_total",
    "face2face_worker_up", "face2face_last_poll_timestamp_seconds", "face2face_group_member",
    "face2face_assigned_partitions", "face2face_scratch_bytes", "face2face_disk_free_bytes",
    "face2face_disk_min_free_bytes", "face2face_store_up", "face2face_build_info",
    "face2face_gateway_requests", "face2face_gateway_request_seconds", "face2face_gateway_jobs",
    "face2face_gateway_events", "face2face_gateway_listening", "face2face_avatar_misses",
    "face2face_avatar_bytes",
)  # fmt: skip
STILL = (
    "face2face_jobs_in_progress", "face2face_slots_busy", "face2face_retries",
    "face2face_oldest_uncommitted_age_seconds", "face2face_dead_letters",
    "face2face_worker_restarts",
    "face2face_leases_lost", "face2face_draining", "face2face_lag_records",
    "face2face_intake_paused", "face2face_store_errors", "face2face_swept_objects",
    "face2face_sweeps", "face2face_gateway_jobs_watched", "face2face_gateway_uploaded_bytes",
    "face2face_gateway_fetched_bytes", "face2face_avatar_hits",
)  # fmt: skip
"""There, and of value 0 (or without a sample) after a run in which nothing of the kind happened."""


@pytest.mark.parametrize("name", MOVED)
def test_every_metric_of_a_run_has_moved(run: Run, name: str) -> None:
    values = [s.value for s in run.metrics[name] if not s.name.endswith("_created")]
    assert any(value > 0 for value in values), run.metrics[name]


def test_metrics_of_what_did_not_happen_are_there(run: Run) -> None:
    assert set(STILL) <= set(run.metrics)
    ours = {n for n in run.metrics if n.startswith("face2face_") and not n.endswith("_created")}
    assert ours == {*MOVED, *STILL}, "a new metric belongs into one of the two lists"


def test_stages_of_the_pipeline_are_measured_one_by_one(run: Run) -> None:
    samples = run.metrics["face2face_stage_seconds"]
    stages = {s.labels["stage"] for s in samples if s.name.endswith("_count")}
    assert {"fetch", "track", "generate", "encode", "store"} <= stages, stages


def test_every_query_of_the_board_answers_with_data(run: Run) -> None:
    if not run.board:
        pytest.skip("no `prometheus` on this machine (Debian's package of that name has it)")
    silent = [query for query, samples in run.board.items() if not samples]
    assert silent == []
    assert len(run.board) > 30
    assert run.firing == [], "a healthy run alerts nobody"


def test_one_trace_leads_from_the_caller_through_gateway_and_kafka_to_the_stages(run: Run) -> None:
    (request,) = [
        s for s in run.traces.named("face2face-gateway", "request")
        if s.attributes["f2f.job_id"] == "good" and s.trace == TRACE
    ]  # fmt: skip
    assert (request.parent, request.kind) == ("b7ad6b7169203331", "producer")
    (process,) = [
        s for s in run.traces.named("face2face", "process") if s.parent == request.span
    ]  # fmt: skip
    assert (process.trace, process.kind) == (TRACE, "consumer")
    assert process.attributes["f2f.outcome"] == "completed"
    below = {s.name: s for s in run.traces.spans if s.parent == process.span}
    assert {"fetch", "render", "store", "announce"} <= set(below)
    stages = {s.name for s in run.traces.spans if s.parent == below["render"].span}
    assert {"track", "generate", "encode"} <= stages
    failed = [s for s in run.traces.named("face2face", "process") if s.error]
    assert {"INPUT_NOT_FOUND", "INVALID_REQUEST"} <= {s.error for s in failed}


def test_no_log_line_and_no_span_holds_a_secret_or_a_presigned_url(run: Run) -> None:
    said = run.logs + b"".join(run.traces.raw).decode("utf-8", "replace")
    assert len(run.logs.splitlines()) > 50, "debug lines are there to be searched"
    assert [secret for secret in run.secrets if secret in said] == []
    assert not re.search(r"(?i)x-amz-signature=(?!\*\*\*)", said)
    assert not re.search(r"(?i)x-amz-credential=(?!\*\*\*)", said)


def test_every_log_line_is_json_and_those_of_a_job_name_it(run: Run) -> None:
    lines = [line for line in run.logs.splitlines() if not line.startswith("gateway listens on")]
    events = [json.loads(line) for line in lines]
    assert all({"event", "level", "timestamp"} <= set(event) for event in events)
    starts = [event for event in events if event["event"] == "render starts"]
    assert starts
    assert all(event["job_id"] == "good" and event["render_id"] for event in starts)
