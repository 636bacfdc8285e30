"""Brokers go away and come back: nothing is lost, and the service goes on at once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos.conftest import Row
from tests.chaos.rig import Rig
from tests.chaos.scale import SHORT, Scale
from tests.support import packages
from tests.support.capabilities import unavailable
from tests.support.handles import KafkaHandle, S3Handle
from tests.support.kafka import ApacheKafka, KafkaCluster

pytestmark = [pytest.mark.chaos, pytest.mark.slow]
RESUME_S = 10.0


def test_a_broker_that_is_away_loses_nothing_and_work_resumes_at_once(
    own_kafka: ApacheKafka, s3: S3Handle, tmp_path: Path, scale: Scale, row: Row
) -> None:
    rig = Rig(KafkaHandle.fresh(own_kafka), s3, tmp_path)
    try:
        pids = [replica.pid for replica in (rig.static("a"), rig.static("b"))]
        for replica in rig.replicas:
            replica.wait_ready()
        for n in range(40):
            rig.submit(f"job-{n}", {"sleep": 0.4})
        rig.flush()
        rig.until(lambda: len(rig.ear.done) >= 4, "some outcomes")
        own_kafka.kill()
        time.sleep(scale.outage_s)
        before = len(rig.ear.done)
        assert [replica.get("/livez")[0] for replica in rig.replicas] == [200, 200]
        own_kafka.start()
        back = time.monotonic()
        rig.until(lambda: len(rig.ear.done) > before, "an outcome after the outage")
        resumed = time.monotonic() - back
        rig.settle()
        assert [replica.pid for replica in rig.replicas] == pids, "no crash loop"
        assert all(replica.alive for replica in rig.replicas)
        rig.judge()
        assert resumed <= RESUME_S * scale.slow
        row(
            f"the only broker SIGKILLed and away for {scale.outage_s:.0f} s, {len(rig.sent)} jobs",
            "0 lost, resumes ≤ 10 s after, no crash loop",
            f"0, first outcome {resumed:.1f} s after it answered again, same processes",
        )
    finally:
        rig.close()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[KafkaCluster]:
    """Three brokers."""
    if not packages.KAFKA.ready():
        unavailable("Apache Kafka was not built: `make test-servers`")
    made = KafkaCluster(packages.KAFKA.home, tmp_path / "cluster")
    made.start()
    yield made
    made.stop()


def test_a_rolling_restart_of_three_brokers_is_hardly_noticed(
    s3: S3Handle, tmp_path: Path, scale: Scale, row: Row, request: pytest.FixtureRequest
) -> None:
    if scale == SHORT:
        pytest.skip("three brokers need 1.2 GB and a minute: `make chaos` runs them")
    cluster: KafkaCluster = request.getfixturevalue("cluster")
    rig = Rig(KafkaHandle.fresh(cluster), s3, tmp_path, copies=3)
    try:
        pids = [replica.pid for replica in (rig.static("a"), rig.static("b"))]
        for replica in rig.replicas:
            replica.wait_ready()
        pauses: list[float] = []
        for node in cluster.nodes:
            for _ in range(30):
                rig.submit(f"job-{len(rig.sent)}", {"sleep": 0.3})
            node.process.stop(30.0)
            node.start()
            back = time.monotonic()
            before = len(rig.ear.done)
            rig.flush()
            if rig.open:
                rig.until(lambda n=before: len(rig.ear.done) > n, "an outcome")  # type: ignore[misc]
            pauses.append(time.monotonic() - back)
        rig.settle()
        assert [replica.pid for replica in rig.replicas] == pids, "no crash loop"
        assert all(replica.alive for replica in rig.replicas)
        rig.judge()
        assert max(pauses) <= RESUME_S * scale.slow
        row(
            f"rolling restart of three brokers, {len(rig.sent)} jobs",
            "0 lost, resumes ≤ 10 s after, no crash loop",
            f"0, next outcome at most {max(pauses):.1f} s after a broker was back, same processes",
        )
    finally:
        rig.close()
