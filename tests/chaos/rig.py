"""One scenario's platform: topics, bucket, replicas, and eyes and ears that watch from outside."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.chaos.facts import History, Place
from tests.chaos.history import check
from tests.chaos.reading import fresh_leases, plain_consumer, read_history
from tests.chaos.replica import Replica
from tests.chaos.watching import Ear, Witness
from tests.support.handles import KafkaHandle, S3Handle, until_shown
from tests.support.null_render import output_bytes
from tests.support.processes import wait_until

VIDEO = b"a reference that nobody decodes"
LARGE = 32 * 1024 * 1024
PARTITION_UA = -1
"""librdkafka: by the hash of the key."""
PATIENCE_S = 200.0
"""Only a defect makes a scenario wait this long for its jobs."""
QUICK = {
    "KAFKA_SESSION_TIMEOUT_S": "4",
    "KAFKA_HEARTBEAT_S": "0.3",
    "KAFKA_REBALANCE_TIMEOUT_S": "10",
    "F2F_DEVICES": "cpu",
    "F2F_THREADS": "1",
    "F2F_SLOTS": "2",
    "F2F_BACKLOG": "2",
    "F2F_LEASE_S": "3",
    "F2F_RETRY_DELAYS_S": "0.3,0.6",
    "F2F_DRAIN_S": "20",
    "F2F_MIN_FREE_BYTES": "0",
    "CLEANUP_DELAY": "0",
}


LEASES_S = 60.0
CALM = {"KAFKA_SESSION_TIMEOUT_S": "30", "F2F_LEASE_S": "30"}
"""Of replicas that nobody kills: a busy machine must not make one look dead to the others."""


class Rig:
    """Broker, store and replicas of one scenario."""

    def __init__(
        self, kafka: KafkaHandle, s3: S3Handle, folder: Path, *, copies: int = 1, **env: str
    ) -> None:
        self.kafka = kafka
        self.s3 = s3
        self.folder = folder
        self.scratch = folder / "scratch"
        self.starts = folder / "starts"
        self.replicas: list[Replica] = []
        self.expected: dict[str, str] = {}
        self.sent: list[str] = []
        self.kills = 0
        self.env = {**kafka.env, **s3.env, **QUICK, "DUIX_DATA_DIR": str(self.scratch), **env}
        self.slots = int(self.env["F2F_SLOTS"])
        self._speeches: dict[str, tuple[str, str]] = {}
        self._admin = AdminClient({"bootstrap.servers": kafka.servers, "log_level": 0})
        self._large: dict[str, Any] = {
            "bootstrap.servers": kafka.servers,
            "message.max.bytes": LARGE,
            "linger.ms": 0,
            "log_level": 0,
        }
        self._producer = Producer(self._large | {"enable.idempotence": True})
        self._reader = plain_consumer(kafka.servers)
        self._make_topics(copies)
        s3.client().put_object(s3.bucket, "inputs/video.mp4", io.BytesIO(VIDEO), len(VIDEO))
        self.ear = Ear(kafka.servers, kafka.topics)
        self.witness = Witness(s3)
        self.ear.start()
        self.witness.start()

    def _make_topics(self, copies: int) -> None:
        topics = self.kafka.topics
        parts = {**dict.fromkeys(topics.all(), 1), topics.requests: 6, topics.retry: 2}
        config = {"message.timestamp.type": "LogAppendTime", "max.message.bytes": str(LARGE)}
        wanted = [NewTopic(name, count, copies, config=config) for name, count in parts.items()]
        for future in self._admin.create_topics(wanted).values():
            future.result(timeout=120)
        until_shown(self._admin, parts)

    # Replicas

    def replica(self, name: str, *, prefix: Sequence[str] = (), **env: str) -> Replica:
        """A new replica, started; `prefix` is a command that runs its own."""
        made = Replica(name, self.env, self.folder, prefix)
        self.replicas.append(made)
        made.start(**env)
        return made

    def static(self, name: str, *, prefix: Sequence[str] = (), **env: str) -> Replica:
        """A new replica with a name in the group, as the pod of a StatefulSet has; started."""
        return self.replica(name, prefix=prefix, KAFKA_GROUP_INSTANCE_ID=name, **env)

    def close(self) -> None:
        """End everything, gently where it is alive, so that scratch can be looked at."""
        for replica in self.replicas:
            if replica.alive:
                replica.kill()
        self.ear.stop()
        self.witness.stop()
        self._reader.close()

    def stop_replicas(self) -> list[int]:
        """SIGTERM all and wait; their exit codes."""
        alive = [replica for replica in self.replicas if replica.alive]
        for replica in alive:
            replica.terminate()
        return [replica.wait(120) for replica in alive]

    # Jobs

    def speech(self, plan: dict[str, Any]) -> tuple[str, str]:
        """URL of a speech with that plan for the null renderer, and the digest of its MP4."""
        text = json.dumps({"log": str(self.starts), **plan}, sort_keys=True)
        if text not in self._speeches:
            data = text.encode()
            name = f"inputs/{hashlib.sha256(data).hexdigest()[:16]}.wav"
            self.s3.client().put_object(self.s3.bucket, name, io.BytesIO(data), len(data))
            made = output_bytes(data, VIDEO, int(plan.get("size", 4096)))
            digest = hashlib.sha256(made).hexdigest()
            self._speeches[text] = f"s3://{self.s3.bucket}/{name}", digest
        return self._speeches[text]

    def request(self, job_id: str, plan: dict[str, Any], **more: Any) -> bytes:
        """The value of a request; its digest is remembered."""
        url, digest = self.speech(plan)
        self.expected[job_id] = digest
        video = f"s3://{self.s3.bucket}/inputs/video.mp4"
        return json.dumps({"job_id": job_id, "audio_url": url, "video_url": video, **more}).encode()

    def submit(self, job_id: str, plan: dict[str, Any] | None = None, **more: Any) -> None:
        """Send a job; `settle` waits for it."""
        self.sent.append(job_id)
        self.produce(self.request(job_id, plan or {}, **more), job_id)

    def produce(self, value: bytes | None, key: str, partition: int | None = None) -> None:
        """Send a record."""
        topic = self.kafka.topics.requests
        self._producer.produce(topic, value, key, PARTITION_UA if partition is None else partition)
        self._producer.poll(0)

    def flush(self) -> None:
        """Wait until the broker has all that was sent."""
        left = self._producer.flush(120)
        assert left == 0, f"{left} requests were not taken by the broker"

    def use_broker(self, *values: bytes | None) -> None:
        """Have the broker take large records, packed and not, as one that is in use has before.

        The first ones take it 40 to 400 ms longer: it loads zstd, and runs code that is not
        compiled yet.
        """
        for packed in ("zstd", "none"):
            producer = Producer(self._large | {"compression.type": packed})
            for value in values * 5:
                producer.produce(self.kafka.topics.progress, value, "large")
                producer.flush()

    def bare_produce(self, value: bytes | None, times: int = 1) -> float:
        """Seconds that records, one after the other, take to a topic where nobody looks."""
        begun = time.monotonic()
        for _ in range(times):
            self._producer.produce(self.kafka.topics.progress, value, "yardstick")
            self.flush()
        return time.monotonic() - begun

    # Waiting

    @property
    def open(self) -> int:
        """Jobs that were sent and have no outcome yet."""
        return len(set(self.sent) - self.ear.done)

    def until(self, what: Callable[[], bool], text: str, timeout_s: float = PATIENCE_S) -> None:
        """Wait until it holds."""
        try:
            wait_until(what, timeout_s, text)
        except TimeoutError as error:
            logs = "\n\n".join(f"{r.name}:\n{r.tail()}" for r in self.replicas)
            where = f"open: {self.open}, {self.ends(self._read_topics())}, {self.committed()}"
            raise TimeoutError(f"{error}; {where}\n{logs}") from error

    def settle(self, timeout_s: float = PATIENCE_S) -> None:
        """Wait until every job has its outcome and the group has committed every record."""
        self.flush()
        self.until(lambda: self.open == 0, "an outcome of every job", timeout_s)
        self.until(self._caught_up, "a commit of every record", timeout_s)

    def _caught_up(self) -> bool:
        time.sleep(0.2)
        ends = self.ends(self._read_topics())
        committed = self.committed()
        return all(
            committed.get((topic, partition), 0) >= end for (topic, partition), end in ends.items()
        )

    def _read_topics(self) -> tuple[str, str]:
        return self.kafka.topics.requests, self.kafka.topics.retry

    def ends(self, topics: Iterable[str]) -> dict[tuple[str, int], int]:
        """End offsets of all partitions."""
        found = self._admin.list_topics(timeout=120).topics
        places = [TopicPartition(topic, n) for topic in topics for n in found[topic].partitions]
        return {
            (p.topic, p.partition): self._reader.get_watermark_offsets(p, timeout=120)[1]
            for p in places
        }

    def committed(self) -> dict[tuple[str, int], int]:
        """The group's committed offsets."""
        asked = [ConsumerGroupTopicPartitions(self.kafka.group)]
        try:
            (future,) = self._admin.list_consumer_group_offsets(asked).values()
            found = future.result(120).topic_partitions
        except KafkaException:
            return {}
        return {(p.topic, p.partition): p.offset for p in found if p.offset >= 0}

    def members(self) -> set[str]:
        """Ids of the group's members, as the broker has them; a member that left gets a new one."""
        (future,) = self._admin.describe_consumer_groups([self.kafka.group]).values()
        return {member.member_id for member in future.result(120).members}

    # Judgement

    def history(self) -> History:
        """All that the run left behind; leases of the dead are stale by then."""
        with contextlib.suppress(TimeoutError):  # the checker names the one that is still renewed
            wait_until(lambda: not fresh_leases(self.s3), LEASES_S, "the end of every lease")
        found = read_history(self.kafka, self.s3, self.starts)
        found.seen = {key: set(states) for key, states in list(self.witness.seen.items())}
        found.kills, found.slots = self.kills, self.slots
        found.expected = dict(self.expected)
        return found

    def judge(self, history: History | None = None) -> History:
        """The history (read now, or as given), which keeps the promise."""
        history = history or self.history()
        broken = check(history)
        assert not broken, f"{len(broken)} violations:\n" + "\n".join(broken[:20])
        return history

    def places(self, history: History) -> list[Place]:
        """Where the requests lie."""
        return [record.place for record in history.requests]

    def leftovers(self) -> list[str]:
        """Files and folders of jobs that lie in scratch."""
        jobs = self.scratch / "jobs"
        return [str(p.relative_to(jobs)) for p in jobs.rglob("*") if p.name != ".lock"]
