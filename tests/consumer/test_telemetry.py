"""Spans arrive at an OTLP collector as upstream expects them, and cost nothing when not wanted."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from consumer import telemetry
from consumer.jobs import Record
from consumer.kafka import delivery
from consumer.kafka.handler import _span
from consumer.settings.load import load
from tests.support.otlp import Collector, collector

TRACE, PARENT = "ab" * 16, "cd" * 8
UPSTREAM = f"00-{TRACE}-{PARENT}-01"


@pytest.fixture
def sent() -> Iterator[Collector]:
    pytest.importorskip("opentelemetry.sdk", reason="the extra `otel` is not installed")
    with collector() as seen:
        telemetry.start(load({"OTEL_EXPORTER_OTLP_ENDPOINT": seen.url}), "face2face")
        try:
            yield seen
        finally:
            telemetry.stop()


def _record(**headers: str) -> Record:
    pairs = tuple((name.replace("_", "-"), text.encode()) for name, text in headers.items())
    return Record("t", 1, 2, None, b"{}", pairs, 0)


def test_upstreams_trace_is_continued_and_handed_on(sent: Collector) -> None:
    with _span(_record(traceparent=UPSTREAM), "job-1", "t/1/2") as span:
        handed_on = span.traceparent
        with telemetry.span("fetch"):
            pass
        started = time.time_ns()
        telemetry.stages({"generate": 5.0, "total": 7.0}, started)
        span.set(outcome="failed", code=None)
        span.fail("NO_FACE")
    telemetry.stop()
    (process,) = sent.named("face2face", "process")
    assert (process.trace, process.parent, process.kind) == (TRACE, PARENT, "consumer")
    assert process.attributes == {
        "f2f.job_id": "job-1", "f2f.record": "t/1/2", "f2f.outcome": "failed",
    }  # fmt: skip
    assert process.error == "NO_FACE"
    assert handed_on == f"00-{TRACE}-{process.span}-01"
    children = {span.name for span in sent.spans if span.parent == process.span}
    assert children == {"fetch", "generate"}


def test_a_replay_links_to_its_first_trace_and_is_no_part_of_it(sent: Collector) -> None:
    headers = {
        delivery.REPLAY_OF: "event-1", delivery.REPLAY_TRACE: UPSTREAM, "traceparent": UPSTREAM,
    }  # fmt: skip
    with _span(_record(**headers), "job-1", "t/1/2"):
        pass
    telemetry.stop()
    (process,) = sent.spans
    assert process.links == (TRACE,)
    assert process.trace != TRACE
    assert process.parent == ""


@pytest.mark.parametrize("hostile", ["", "00-0-0-00", "x" * 500, f"00-{'0' * 32}-{PARENT}-01"])
def test_a_traceparent_that_is_none_begins_a_new_trace(sent: Collector, hostile: str) -> None:
    with _span(_record(traceparent=hostile), "job-1", "t/1/2"):
        pass
    telemetry.stop()
    (process,) = sent.spans
    assert process.parent == ""
    assert len(process.trace) == 32


def test_jobs_side_by_side_do_not_become_each_others_children(sent: Collector) -> None:
    with (
        _span(_record(traceparent=UPSTREAM), "job-1", "t/1/2") as outer,
        _span(_record(), "job-2", "t/1/3") as inner,
    ):
        assert outer.traceparent is not None
        assert inner.traceparent is not None
    telemetry.stop()
    traces = {span.attributes["f2f.job_id"]: span.trace for span in sent.spans}
    assert traces["job-1"] == TRACE
    assert len(set(traces.values())) == 2


def test_without_an_endpoint_nothing_is_imported_and_upstreams_header_stays() -> None:
    code = (
        "import sys, consumer.app\n"
        "from consumer import telemetry\n"
        "from consumer.settings.load import load\n"
        "telemetry.start(load({}), 'x')\n"
        "with telemetry.span('a', parent='b') as span: assert span.traceparent is None\n"
        "telemetry.stop()\n"
        "sys.exit('opentelemetry.sdk' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=120, check=False).returncode == 0
