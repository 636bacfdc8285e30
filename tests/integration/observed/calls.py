"""What the watched run consists of: its calls to the gateway, and a record that is no job."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from functools import partial
from typing import Any

from confluent_kafka import Producer

from tests.support.handles import KafkaHandle, S3Handle
from tests.support.processes import wait_until

API_KEY = "key-that-no-log-may-hold"
SIGNATURE = "5f1c0ffee0signature"
TRACE = "0af7651916cd43dd8448eb211c80319c"


def get(url: str, **headers: str) -> tuple[int, bytes]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(url, headers=headers)
    try:
        with opener.open(request, timeout=120) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except OSError:
        return 0, b""


def post(url: str, body: dict[str, Any], **headers: str) -> tuple[int, dict[str, Any]]:
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


def job_of(gateway: str, job_id: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        get(f"{gateway}/v1/jobs/{job_id}", **{"X-API-Key": API_KEY})[1]
    )
    return found


def ended(gateway: str, job_id: str) -> bool:
    return job_of(gateway, job_id).get("state") in ("completed", "failed")


def _send_rubbish(kafka: KafkaHandle) -> None:
    producer = Producer({"bootstrap.servers": kafka.servers})
    producer.produce(kafka.topics.requests, b"{ this is no JSON", key=b"rubbish")
    assert producer.flush(120) == 0


def submit_all(gateway: str, s3: S3Handle, kafka: KafkaHandle) -> dict[str, dict[str, Any]]:
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
        status, answer = post(
            f"{gateway}/v1/jobs",
            {**body, "job_id": job_id},
            traceparent=f"00-{TRACE}-b7ad6b7169203331-01",
        )
        assert status == 202, answer
    refused, answer = post(
        f"{gateway}/v1/jobs",
        {**good, "audio_url": f"https://cdn.example/a.wav?X-Amz-Signature={SIGNATURE}"},
    )
    assert refused in (202, 400, 403, 422), answer
    _send_rubbish(kafka)
    for job_id in jobs:
        wait_until(partial(ended, gateway, job_id), 300, f"end of {job_id}")
    post(f"{gateway}/v1/jobs", {**good, "job_id": "good"})
    return {job_id: job_of(gateway, job_id) for job_id in jobs}
