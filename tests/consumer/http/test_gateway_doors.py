"""Who may call: holders of the key, and the gateway's own page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from consumer.settings import Settings
from consumer.settings.load import load
from tests.consumer.http.calls import locations
from tests.consumer.http.stand import Gateway, gateway
from tests.support.handles import S3Handle


async def test_a_key_is_asked_of_every_call_that_does_something(
    settings: Settings, s3: S3Handle
) -> None:
    from pydantic import SecretStr

    locked = settings.model_copy(update={"api_key": SecretStr("open sesame")})
    async with gateway(locked) as made:
        http = made.http
        body = locations(s3)
        for headers in ({}, {"X-API-Key": "wrong"}, {"Authorization": "Bearer no"}):
            for path in ("/v1/jobs", "/api/generate_video"):
                answer = await http.post(path, json=body, headers=headers)
                assert answer.status_code == 401
                assert answer.headers["www-authenticate"] == "Bearer"
            assert (await http.get("/v1/jobs/x", headers=headers)).status_code == 401
        old = (await http.post("/api/generate_video", json=body)).json()
        assert list(old) == ["success", "error"]
        for headers in ({"X-API-Key": "open sesame"}, {"Authorization": "bearer open sesame"}):
            assert (await http.post("/v1/jobs", json=body, headers=headers)).status_code == 202
        for path in ("/", "/health", "/livez", "/metrics", "/docs", "/openapi.json"):
            assert (await http.get(path)).status_code == 200, path
        # it may not be ready yet, but it says so to whoever asks
        assert (await http.get("/readyz")).status_code in (200, 503)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Host": "rebound.example"},
        {"Host": "127.0.0.1.evil.example"},
    ],
)
async def test_pages_of_other_sites_cannot_call(headers: Any, alone: Gateway, s3: S3Handle) -> None:
    answer = await alone.http.post("/v1/jobs", json=locations(s3), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "FOREIGN_ORIGIN")


async def test_the_gateways_own_page_may_call(alone: Gateway, s3: S3Handle) -> None:
    headers = {"Origin": alone.url, "Sec-Fetch-Site": "same-origin"}
    answer = await alone.http.post("/v1/jobs", json=locations(s3), headers=headers)
    assert answer.status_code == 202
    assert "access-control-allow-origin" not in answer.headers


async def test_every_answer_carries_a_strict_policy(alone: Gateway) -> None:
    for path in ("/", "/docs", "/health", "/v1/jobs/x", "/nowhere"):
        policy = (await alone.http.get(path)).headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy


def test_it_refuses_to_serve_others_without_a_key(tmp_path: Path) -> None:
    from consumer.http.gateway import make_app
    from consumer.settings import SettingsError

    for host in ("0.0.0.0", "::", "10.0.0.7", "gateway.example"):
        with pytest.raises(SettingsError, match="F2F_API_KEY"):
            make_app(load({"F2F_GATEWAY_HOST": host}))
    for env in ({"F2F_GATEWAY_HOST": "::1"}, {"F2F_GATEWAY_HOST": "0.0.0.0", "F2F_API_KEY": "k"}):
        make_app(load(env))
