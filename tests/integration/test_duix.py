"""A request for the engine `duix` goes through a real worker child to the container and back."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from consumer.processing import open_processor
from tests.pipeline.engines.duix.standin import Behaviour, container
from tests.support.handles import S3Handle
from tests.support.media import Clip, Tone, write_clip, write_sound
from tests.support.work import Memory, make_job, settings_for


@pytest.mark.slow
@pytest.mark.parametrize("fails", [False, True])
async def test_the_worker_reaches_the_container_by_its_settings_alone(
    fails: bool, s3: S3Handle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audio = write_sound(tmp_path / "speech.wav", Tone(1.0, codec="pcm_s16le"))
    video = write_clip(tmp_path / "video.mp4", Clip(192, 128, frames=25))
    for path in (audio, video):
        s3.client().fput_object(s3.bucket, f"inputs/{path.name}", str(path))
    data = tmp_path / "data"
    with container(data, Behaviour(fail="人脸检测失败" if fails else None)) as there:
        monkeypatch.setenv("DUIX_INTERNAL_URL", there.url)
        monkeypatch.setenv("DUIX_DATA_DIR", str(data))
        settings = settings_for(s3, data, F2F_MAX_ATTEMPTS=1)
        memory = Memory()
        async with open_processor(settings, memory) as work:
            verdict = await work.processor.process(make_job(s3, engine="duix"))
    if fails:
        assert memory.only("failed").error.code == "ENGINE_FAILED"
        assert "人脸检测失败" in memory.only("failed").error.message
        return
    assert verdict.kind == "completed"
    completed = memory.only("completed")
    assert completed.engine.name == "duix"
    s3.client().fget_object(s3.bucket, completed.output.key, str(tmp_path / "out.mp4"))
    with av.open(str(tmp_path / "out.mp4")) as made:
        assert sum(1 for _ in made.decode(video=0)) == 25
