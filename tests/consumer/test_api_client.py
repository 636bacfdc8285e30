"""The client embeds in two lines, and says what went wrong in types."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from consumer.api_client import CallRefused, Face2Face, GatewayUnreachable, JobFailed
from consumer.settings import Settings
from consumer.settings.load import load
from schemas.codes import ErrorCode
from schemas.events import Progress
from tests.consumer.http.stand import Gateway, gateway, service
from tests.consumer.web import MP4, WAV
from tests.support.handles import KafkaHandle, S3Handle
from tests.support.null_render import output_bytes
from tests.support.work import put_inputs


@pytest.fixture
def settings(kafka: KafkaHandle, s3: S3Handle, service_env: dict[str, str]) -> Settings:
    kafka.create_topics()
    return load({**service_env, "F2F_API_KEY": "key", "F2F_MIN_FREE_BYTES": "0"})


@pytest.fixture
async def bridge(settings: Settings) -> AsyncIterator[Gateway]:
    async with service(settings), gateway(settings) as made:
        yield made


async def test_two_files_become_a_video_in_two_lines(bridge: Gateway, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(WAV)
    (tmp_path / "v.mp4").write_bytes(MP4)
    async with Face2Face(bridge.url, api_key="key") as f2f:
        result = await f2f.generate(
            audio=tmp_path / "a.wav", video=str(tmp_path / "v.mp4"), job_id="two-lines"
        )
        saved = await result.save(tmp_path / "out.mp4")
        whole = await result.read()
    assert saved.read_bytes() == whole == output_bytes(WAV, MP4)
    assert result.job_id == "two-lines"
    assert result.completed.output.sha256 == hashlib.sha256(whole).hexdigest()
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == [
        "a.wav",
        "out.mp4",
        "v.mp4",
    ]


async def test_locations_are_taken_and_progress_is_told(
    bridge: Gateway, s3: S3Handle, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    put_inputs(s3, {"gate": str(gate)})
    seen: list[Progress] = []

    def hear(progress: Progress) -> None:
        seen.append(progress)
        gate.touch()

    async with Face2Face(bridge.url, api_key="key") as f2f:
        result = await f2f.generate(
            audio=f"s3://{s3.bucket}/inputs/speech.wav",
            video=f"s3://{s3.bucket}/inputs/video.mp4",
            on_progress=hear,
            metadata={"tenant": "t1"},
        )
    assert result.completed.metadata == {"tenant": "t1"}
    assert seen
    assert all(isinstance(each, Progress) for each in seen)


async def test_a_failed_job_is_an_error_with_its_event(bridge: Gateway, s3: S3Handle) -> None:
    put_inputs(s3, {"error": "NoFace"})
    async with Face2Face(bridge.url, api_key="key") as f2f:
        with pytest.raises(JobFailed) as caught:
            await f2f.generate(
                f"s3://{s3.bucket}/inputs/speech.wav", f"s3://{s3.bucket}/inputs/video.mp4"
            )
    assert caught.value.error.code is ErrorCode.NO_FACE
    assert not caught.value.error.retryable


async def test_what_the_gateway_refuses_is_an_error_with_its_problem(bridge: Gateway) -> None:
    async with Face2Face(bridge.url) as f2f:
        with pytest.raises(CallRefused) as caught:
            await f2f.job("any")
        assert caught.value.problem.code == "UNAUTHORIZED"
    async with Face2Face(bridge.url, api_key="key") as f2f:
        with pytest.raises(CallRefused) as caught:
            await f2f.submit("s3://bucket/a", "s3://bucket/v", options={"crf": 99})
        assert "crf" in caught.value.problem.detail
        assert str(caught.value).count(caught.value.problem.advice) == 1
        with pytest.raises(CallRefused) as caught:
            await f2f.generate("s3://bucket/a", "s3://bucket/v", job_id="no such id")
        assert caught.value.problem.code == "INVALID_REQUEST"


async def test_no_gateway_is_said_in_a_type() -> None:
    async with Face2Face("http://127.0.0.1:1") as f2f:
        with pytest.raises(GatewayUnreachable):
            await f2f.submit("s3://bucket/a", "s3://bucket/v")


async def test_a_file_and_a_location_do_not_mix(tmp_path: Path) -> None:
    async with Face2Face("http://127.0.0.1:1") as f2f:
        with pytest.raises(ValueError, match="two files"):
            await f2f.submit(tmp_path / "a.wav", "s3://bucket/v")


def test_it_needs_nothing_of_ours_but_the_schemas() -> None:
    code = (
        "import sys, consumer.api_client\n"
        "ours = [m for m in sys.modules if m.startswith(('consumer.', 'pipeline'))]\n"
        "heavy = {'aiokafka', 'minio', 'fastapi', 'torch', 'av', 'structlog'} & set(sys.modules)\n"
        "print(ours, sorted(heavy))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "['consumer.api_client'] []"
