"""Jobs per second through the whole service with null renders, beside the bare calls a job needs.

Both sides use the same broker, store and inputs, in one run. The bare side is one loop of plain
aiokafka and minio calls for each job, with nothing between them: take the record, get both inputs,
put marker, MP4, draft and manifest, give the marker back, produce the event, commit. It runs as
many jobs at a time as the service has slots.
"""

from __future__ import annotations

import asyncio
import io
import json
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from tests.chaos.rig import VIDEO, Rig
from tests.support import resolve
from tests.support.handles import KafkaHandle, S3Handle

OUTPUT = bytes(4096)
NOTE = json.dumps({"filler": "x" * 1200}).encode()
"""About as long as a manifest, a draft or an event."""


@contextmanager
def servers(folder: Path) -> Iterator[tuple[resolve.KafkaServer, resolve.S3Server]]:
    """The broker and the store that the tests would choose, started."""
    _, make_kafka = resolve.kafka_choice()
    _, make_s3 = next(resolve.s3_choices())
    with ExitStack() as stack:
        kafka, s3 = make_kafka(folder), make_s3(folder)
        kafka.start()
        stack.callback(kafka.stop)
        s3.start()
        stack.callback(s3.stop)
        yield kafka, s3


def overhead(jobs: int, slots: int) -> list[str]:
    """Lines with both speeds, their ratio, and where the service's time goes."""
    with tempfile.TemporaryDirectory(prefix="f2f-bench-") as name:
        folder = Path(name)
        with servers(folder) as (kafka, s3):
            bare, cost = _bare(KafkaHandle.fresh(kafka), S3Handle.fresh(s3), folder, jobs, slots)
            served, stages = _served(
                KafkaHandle.fresh(kafka), S3Handle.fresh(s3), folder, jobs, slots
            )
            again, more = _bare(KafkaHandle.fresh(kafka), S3Handle.fresh(s3), folder, jobs, slots)
    best = max(bare, again)
    return [
        f"{jobs} jobs, {slots} at a time, {kafka.name}, {s3.name}:",
        f"  bare aiokafka + minio calls   {best:7.1f} jobs/s"
        f"  (before {bare:.1f}, after {again:.1f})",
        f"    of their process {1000 * min(cost, more) / jobs:.1f} ms of processor per job",
        f"  one replica, null renders     {served:7.1f} jobs/s",
        f"  bare / service                {best / served:7.2f}",
        *stages,
    ]


def _rig(kafka: KafkaHandle, s3: S3Handle, folder: Path, slots: int) -> Rig:
    place = Path(tempfile.mkdtemp(dir=folder))
    return Rig(kafka, s3, place, F2F_SLOTS=str(slots), F2F_BACKLOG="4")


def _send(rig: Rig, jobs: int) -> None:
    for n in range(jobs):
        rig.submit(f"job-{n}", {"sleep": 0.0})
    rig.flush()


# The service


def _served(
    kafka: KafkaHandle, s3: S3Handle, folder: Path, jobs: int, slots: int
) -> tuple[float, list[str]]:
    rig = _rig(kafka, s3, folder, slots)
    try:
        replica = rig.replica("bench")
        replica.wait_ready()
        _send(rig, slots)  # connections, code and caches are warm after these
        rig.settle()
        cpu = _cpu(replica.pid), sum(map(_cpu, replica.children()))
        warm = len(rig.ear.done)
        begun = time.monotonic()
        for n in range(jobs):
            rig.submit(f"timed-{n}", {"sleep": 0.0})
        rig.flush()
        rig.until(lambda: len(rig.ear.done) == warm + jobs, "all outcomes", 600.0)
        lasted = time.monotonic() - begun
        parent, child = _cpu(replica.pid) - cpu[0], sum(map(_cpu, replica.children())) - cpu[1]
        rig.settle()
        lines = [
            f"  per job: {1000 * lasted / jobs:.1f} ms wall; processor: parent "
            f"{1000 * parent / jobs:.1f} ms, worker {1000 * child / jobs:.1f} ms",
            *_stages(replica.said("record done"), replica.metrics(), jobs + slots),
        ]
        return jobs / lasted, lines
    finally:
        rig.close()


def _cpu(pid: int) -> float:
    """Processor seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100.0


def _stages(done: list[dict[str, Any]], metrics: str, jobs: int) -> list[str]:
    """Mean wall time of a job in the service, and of the stages that it counts itself."""
    mean = sum(float(line["seconds"]) for line in done) / max(1, len(done))
    lines = [f"  a record is in work for {1000 * mean:.1f} ms on average; of these, by stage:"]
    for line in metrics.splitlines():
        if line.startswith("face2face_stage_seconds_sum{"):
            name = line.partition('"')[2].partition('"')[0]
            lines.append(f"    {name:<10} {1000 * float(line.split()[-1]) / jobs:6.1f} ms")
    return lines


# The bare calls


def _bare(
    kafka: KafkaHandle, s3: S3Handle, folder: Path, jobs: int, slots: int
) -> tuple[float, float]:
    """Jobs per second, and the processor seconds of all of them."""
    rig = _rig(kafka, s3, folder, slots)
    try:
        _send(rig, jobs)
        rig.ear.stop()  # they watch from this process: their work is not the jobs'
        rig.witness.stop()
        begun = time.process_time()
        speed = asyncio.run(_loop(rig, jobs, slots))
        return speed, time.process_time() - begun
    finally:
        rig.close()


async def _loop(rig: Rig, jobs: int, slots: int) -> float:
    topics = rig.kafka.topics
    consumer = AIOKafkaConsumer(
        topics.requests,
        bootstrap_servers=rig.kafka.servers,
        group_id=rig.kafka.group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    producer = AIOKafkaProducer(
        bootstrap_servers=rig.kafka.servers, acks="all", enable_idempotence=True
    )
    await consumer.start()
    await producer.start()
    bench = _Bare(rig, consumer, producer, slots)
    try:
        first = await consumer.getone()
        begun = time.monotonic()
        tasks = [asyncio.create_task(bench.job(first))]
        while len(tasks) < jobs:
            await bench.free.acquire()
            tasks.append(asyncio.create_task(bench.job(await consumer.getone())))
        await asyncio.gather(*tasks)
        return jobs / (time.monotonic() - begun)
    finally:
        await consumer.stop()
        await producer.stop()


class _Bare:
    def __init__(
        self, rig: Rig, consumer: AIOKafkaConsumer, producer: AIOKafkaProducer, slots: int
    ) -> None:
        self._topic = rig.kafka.topics.completed
        self._bucket = rig.s3.bucket
        self._client = rig.s3.client()
        self._consumer = consumer
        self._producer = producer
        self._threads = ThreadPoolExecutor(slots * 2)
        self.free = asyncio.Semaphore(slots - 1)

    async def job(self, record: Any) -> None:
        """All that one job needs of broker and store, and nothing else."""
        request = json.loads(record.value)
        name = request["job_id"]
        audio = request["audio_url"].split("/", 3)[3]
        speech, video = await asyncio.gather(
            self._call(self._get, audio), self._call(self._get, "inputs/video.mp4")
        )
        assert speech
        assert video == VIDEO
        await self._call(self._put, f"attempts/{name}.json", NOTE)  # the lease
        await self._call(self._put, f"attempts/{name}.json", NOTE)  # the attempt
        await asyncio.gather(
            self._call(self._put, f"results/{name}.mp4", OUTPUT),
            self._call(self._put, f"attempts/{name}.rendered.json", NOTE),
        )
        await self._call(self._put, f"results/{name}.json", NOTE)  # the manifest
        await asyncio.gather(
            self._producer.send_and_wait(self._topic, NOTE, key=name.encode()),
            self._call(self._put, f"attempts/{name}.json", NOTE),  # the lease is given back
        )
        place = TopicPartition(record.topic, record.partition)
        await self._consumer.commit({place: record.offset + 1})
        self.free.release()

    async def _call(self, function: Any, *arguments: Any) -> Any:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, function, *arguments)

    def _get(self, key: str) -> bytes:
        answer = self._client.get_object(self._bucket, key)
        try:
            data: bytes = answer.read()
            return data
        finally:
            answer.close()
            answer.release_conn()

    def _put(self, key: str, data: bytes) -> None:
        self._client.put_object(self._bucket, key, io.BytesIO(data), len(data))
