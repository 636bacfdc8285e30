"""/v1/jobs: a job is accepted, followed, fetched and cancelled, and any replica answers for it."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
from typing import Any

import httpx2
import pytest

from consumer.settings import Settings
from schemas.http import JobView
from tests.consumer.http.calls import events, locations, until_running
from tests.consumer.http.stand import Gateway, gateway, service
from tests.consumer.web import MP4, WAV
from tests.support.capabilities import Can
from tests.support.handles import KafkaHandle, S3Handle


async def test_a_job_is_accepted_followed_and_fetched(bridge: Gateway, s3: S3Handle) -> None:
    body = {**locations(s3, {"sleep": 1.2}), "job_id": "order-1", "metadata": {"who": "me"}}
    answer = await bridge.http.post("/v1/jobs", json=body)
    assert answer.status_code == 202
    assert answer.headers["location"] == "/v1/jobs/order-1"
    assert JobView.model_validate(answer.json()).state == "queued"
    told = await events(bridge, "order-1")
    kinds = [kind for kind, _ in told]
    assert kinds[-1] == "completed"
    assert set(kinds[:-1]) <= {"progress"}
    assert told[-1][1]["metadata"] == {"who": "me"}

    view = JobView.model_validate((await bridge.http.get("/v1/jobs/order-1")).json())
    assert view.state == "completed"
    assert view.completed is not None
    result = await bridge.http.get("/v1/jobs/order-1/result")
    assert result.status_code == 307
    async with httpx2.AsyncClient(timeout=120, trust_env=False) as store:
        video = await store.get(result.headers["location"])
        part = await store.get(result.headers["location"], headers={"Range": "bytes=0-99"})
        head = await bridge.http.head("/v1/jobs/order-1/result")
        looked = await store.head(head.headers["location"])
    assert (part.status_code, part.content) == (206, video.content[:100])
    assert (looked.status_code, looked.headers["content-length"]) == (200, str(len(video.content)))
    assert hashlib.sha256(video.content).hexdigest() == view.completed.output.sha256


async def test_a_failed_job_has_no_result(bridge: Gateway, s3: S3Handle) -> None:
    body = {**locations(s3, {"error": "NoFace"}), "job_id": "no-face"}
    await bridge.http.post("/v1/jobs", json=body)
    kind, data = (await events(bridge, "no-face"))[-1]
    assert (kind, data["error"]["code"]) == ("failed", "NO_FACE")
    answer = await bridge.http.get("/v1/jobs/no-face/result")
    assert answer.status_code == 409
    assert answer.json()["code"] == "NO_RESULT"
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_job_is_cancelled(bridge: Gateway, s3: S3Handle) -> None:
    body = {**locations(s3, {"sleep": 600}), "job_id": "stop-me"}
    await bridge.http.post("/v1/jobs", json=body)
    await until_running(bridge, "stop-me")
    following = asyncio.create_task(events(bridge, "stop-me"))
    assert (await bridge.http.delete("/v1/jobs/stop-me")).status_code == 202
    kind, data = (await following)[-1]
    assert (kind, data["error"]["code"]) == ("failed", "CANCELLED")


async def test_an_unknown_job_is_not_found(alone: Gateway) -> None:
    for method, path in (
        ("GET", "/v1/jobs/nobody"),
        ("GET", "/v1/jobs/nobody/events"),
        ("GET", "/v1/jobs/nobody/result"),
        ("DELETE", "/v1/jobs/nobody"),
    ):
        answer = await alone.http.request(method, path)
        assert answer.status_code == 404, path
        assert answer.json()["code"] == "JOB_NOT_FOUND"
        assert answer.json()["advice"]


async def test_the_same_request_again_is_the_same_job(bridge: Gateway, s3: S3Handle) -> None:
    body = {**locations(s3, {"size": 100}), "job_id": "twice"}
    first = (await bridge.http.post("/api/generate_video", json=body)).json()
    again = (await bridge.http.post("/api/generate_video", json=body)).json()
    assert first == again
    assert len(s3.keys("results/twice/")) == 2, "one MP4 and its manifest"


async def test_a_job_id_of_another_request_is_refused(alone: Gateway, s3: S3Handle) -> None:
    body = {**locations(s3), "job_id": "mine"}
    assert (await alone.http.post("/v1/jobs", json=body)).status_code == 202
    other = {**body, "options": {"crf": 30}}
    answer = await alone.http.post("/v1/jobs", json=other)
    assert (answer.status_code, answer.json()["code"]) == (409, "JOB_CONFLICT")


@pytest.mark.parametrize("job_id", [".", ".."])
async def test_an_id_that_clients_take_out_of_links_is_refused_before_anything_is_stored(
    alone: Gateway, s3: S3Handle, job_id: str
) -> None:
    body = {**locations(s3), "job_id": job_id}
    stored = s3.keys()
    files = {"audio": ("a.wav", WAV), "video": ("v.mp4", MP4)}
    upload = {"files": files, "data": {"request": json.dumps({"job_id": job_id})}}
    for sent in ({"json": body}, upload):
        answer = await alone.http.post("/v1/jobs", **sent)
        assert (answer.status_code, answer.json()["code"]) == (422, "INVALID_REQUEST")
        assert repr(job_id) in answer.json()["detail"]
    assert s3.keys() == stored


async def test_any_replica_answers_for_a_job_and_so_does_one_that_was_not_there(
    settings: Settings, s3: S3Handle
) -> None:
    body = {**locations(s3), "job_id": "shared", "output": {"prefix": "tenant-7/"}}
    async with gateway(settings) as first:
        await first.http.post("/v1/jobs", json=body)
        async with gateway(settings) as second:
            assert (await second.http.get("/v1/jobs/shared")).json()["state"] == "queued"
    async with service(settings), gateway(settings) as made:
        # The listener began after the record, so the record is sent once more.
        await made.http.post("/v1/jobs", json=body)
        assert (await events(made, "shared"))[-1][0] == "completed"
        odd = {  # none of their outcomes lies where the request says
            "...": {},
            "no-bucket": {"bucket": "no-such-bucket-here", "prefix": "mine/"},
            "no-name": {"prefix": "s" * 300},
        }
        for name, output in odd.items():
            await made.http.post("/v1/jobs", json=body | {"job_id": name, "output": output})
            await events(made, name)
    async with gateway(settings) as later:
        views = [(await later.http.get(f"/v1/jobs/{name}")).json() for name in odd]
        # the embedded store takes names of any length
        long_name = "failed" if Can.SIGNATURES in s3.capabilities else "completed"
        assert [view["state"] for view in views] == ["completed", "failed", long_name]
        view = (await later.http.get("/v1/jobs/shared")).json()
        assert view["state"] == "completed"
        assert view["completed"]["output"]["key"].startswith("tenant-7/results/shared/")
        assert "download_url" in view["completed"]
        assert (await events(later, "shared"))[-1][0] == "completed"
        again = (await later.http.post("/api/generate_video", json=body)).json()
        assert again["success"] is True, "it was done while this one was away"


async def test_the_last_outcome_is_told_also_where_its_replicas_clock_is_behind(
    settings: Settings, s3: S3Handle
) -> None:
    body = {**locations(s3), "job_id": "twice"}
    async with service(settings), gateway(settings) as made:
        await made.http.post("/v1/jobs", json=body)
        await events(made, "twice")
    (key,) = [key for key in s3.keys("results/twice/") if key.endswith(".json")]
    first = json.loads(s3.client().get_object(s3.bucket, key).data)
    later = {**first, "render_id": "0" * 32, "created_at": "2026-01-01T00:00:00Z"}
    later["completed"] = {**first["completed"], "render_id": "0" * 32}

    def listed() -> list[Any]:
        found = s3.client().list_objects(s3.bucket, prefix="results/twice/", recursive=True)
        return sorted(each.last_modified for each in found if each.object_name.endswith(".json"))

    data = json.dumps(later).encode()
    async with asyncio.timeout(120):
        while len(times := listed()) < 2 or times[0] == times[1]:  # the store's clock has steps
            s3.client().put_object(
                s3.bucket, f"results/twice/{'0' * 32}.json", io.BytesIO(data), len(data)
            )
    async with gateway(settings) as made:
        view = JobView.model_validate((await made.http.get("/v1/jobs/twice")).json())
    assert view.completed is not None
    assert view.completed.render_id == "0" * 32


async def test_a_request_that_its_topic_does_not_take_harms_none_that_comes_later(
    alone: Gateway, kafka: KafkaHandle, s3: S3Handle
) -> None:
    """The producer's numbers had a gap from then on, and that partition took nothing any more."""
    from confluent_kafka import admin as admin_module

    kafka.require(Can.ADMIN)
    confluent: Any = admin_module
    least = confluent.ConfigEntry(
        "max.message.bytes",
        "2000",
        incremental_operation=confluent.AlterConfigOpType.SET,
    )
    topic = confluent.ConfigResource(
        confluent.ConfigResource.Type.TOPIC, kafka.topics.requests, incremental_configs=[least]
    )
    admin = confluent.AdminClient({"bootstrap.servers": kafka.servers, "log_level": 0})
    for done in admin.incremental_alter_configs([topic]).values():
        done.result(120)
    body = locations(s3)
    large = {**body, "job_id": "large", "metadata": {"note": "x" * 2000}}
    assert (await alone.http.post("/v1/jobs", json=body)).status_code == 202
    refused = await alone.http.post("/v1/jobs", json=large)
    later = await alone.http.post("/v1/jobs", json=body)
    assert later.status_code == 202, later.text
    assert (refused.status_code, refused.json()["code"]) == (413, "BODY_TOO_LARGE")
    assert kafka.topics.requests in refused.json()["detail"]
    assert (await alone.http.get("/v1/jobs/large")).status_code == 404, "it would wait for ever"
