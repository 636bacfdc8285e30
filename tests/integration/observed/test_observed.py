"""One real run, watched from all sides: health, metrics, board, traces and logs.

Service and gateway as processes, the real engine, a broker, a store, a collector of traces, and a
Prometheus where one is installed. The run has a job that works, one that is asked for twice, and
every kind of failure that needs no broken server.
"""

from __future__ import annotations

import json
import re
from importlib.metadata import version

import pytest

from tests.integration.observed.calls import TRACE
from tests.integration.observed.watched import Run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


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
    "face2face_brokers_up",
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
    "face2face_gateway_fetched_bytes", "face2face_avatar_hits", "face2face_log_lines_dropped",
    "face2face_gpu_networks", "face2face_gpu_networks_slowed",
    "face2face_store_waiting",
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
    events = [json.loads(line) for line in run.logs.splitlines()]
    assert all({"event", "level", "timestamp"} <= set(event) for event in events)
    starts = [event for event in events if event["event"] == "render starts"]
    assert starts
    assert all(event["job_id"] == "good" and event["render_id"] for event in starts)
