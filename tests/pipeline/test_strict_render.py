"""Whole renders on a CUDA device that is strict: from two files to a verified one.

What tracks the face, what paints it, and what is kept of it are on the device; several jobs share
it, each on a stream of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pipeline.batching import captured
from pipeline.engines import registry
from pipeline.engines.neural import painter
from pipeline.engines.wav2lip.engine import Wav2LipEngine
from pipeline.faces import loaded, shared
from pipeline.hardware import allow
from pipeline.render import render
from pipeline.types import AvatarFolder, RenderSpec
from schemas.render import RenderReport
from tests.pipeline.engines.runs import wav2lip_network
from tests.support.media import Tone, write_sound
from tests.support.strict_cuda import StrictCuda, strict_cuda

GPU = "cuda:0"
VIDEO = Path(__file__).parents[2] / "consumer" / "demo_assets" / "reference.mp4"
FRAMES = 5


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Iterator[StrictCuda]:
    monkeypatch.setattr(captured, "_WARM_UP", 1)  # nothing is compiled or tuned here
    monkeypatch.setattr(painter, "buckets_on", lambda _: (4,))
    monkeypatch.setattr(shared, "BUCKETS", (4,))
    allow(launching="captured")
    threads = torch.get_num_threads()
    loaded.of_root.forget()
    with strict_cuda() as made:
        yield made
    loaded.of_root.forget()  # no other test has this device
    torch.set_num_threads(threads)
    allow(launching="compiled")
    assert made.races == []


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("inputs")
    with av.open(str(VIDEO)) as whole, av.open(str(folder / "reference.mp4"), "w") as short:
        source = whole.streams.video[0]
        stream = short.add_stream("libx264", rate=25, options={"crf": "12"})
        stream.width, stream.height, stream.pix_fmt = source.width, source.height, "yuv420p"
        for _, frame in zip(range(FRAMES), whole.decode(source), strict=False):
            frame.pict_type = av.video.frame.PictureType.NONE
            short.mux(stream.encode(frame.reformat(format="yuv420p")))
        short.mux(stream.encode(None))
    tone = Tone(FRAMES / 25, codec="pcm_s16le", rate=16_000)
    return write_sound(folder / "speech.wav", tone), folder / "reference.mp4"


def _job(inputs: tuple[Path, Path], folder: Path, name: str, engine: str) -> RenderSpec:
    (folder / name).mkdir()
    kept = AvatarFolder(folder / "avatars", keep_free=0)
    output = folder / f"{name}.mp4"
    return RenderSpec(
        *inputs, output, folder / name, engine=engine, device=GPU, threads=1, avatars=kept
    )


def _rendered(spec: RenderSpec) -> RenderReport:
    return render(spec, lambda tick: None)


def _pictures(path: Path) -> NDArray[np.uint8]:
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray() for frame in container.decode(video=0)]
    return np.stack(frames).astype(np.uint8, copy=False)


def test_a_face_is_tracked_painted_and_kept_on_a_device(
    inputs: tuple[Path, Path], tmp_path: Path, device: StrictCuda
) -> None:
    new, again = (_job(inputs, tmp_path, name, "viseme") for name in ("new", "again"))
    first = _rendered(new)
    assert first.face["usable_frames"] == first.quality["painted_frames"] == FRAMES
    assert first.avatar is not None
    assert not first.avatar.reused
    device.waits.clear()
    second = _rendered(again)
    assert second.avatar is not None
    assert second.avatar.reused
    assert np.array_equal(_pictures(again.output), _pictures(new.output))
    where = {wait.split(":")[0] for wait in device.waits}
    assert where <= {"avatars/parts.py", "engines/viseme/layer.py"}, "once a job, not by the frame"


@pytest.mark.parametrize("engine", ["viseme", "wav2lip"])
def test_jobs_that_run_at_once_make_on_a_device_what_one_makes_alone(
    engine: str,
    inputs: tuple[Path, Path],
    tmp_path: Path,
    device: StrictCuda,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if engine == "wav2lip":
        made = Wav2LipEngine(wav2lip_network().to(GPU), GPU, [])
        monkeypatch.setattr(registry, "create", lambda *_: made)
    jobs = [_job(inputs, tmp_path, f"job{n}", engine) for n in range(3)]
    with ThreadPoolExecutor(2) as pool:
        reports = list(pool.map(_rendered, jobs[:2]))
    reports.append(_rendered(jobs[2]))
    assert [report.quality["painted_frames"] for report in reports] == [FRAMES] * 3
    one, *others = (_pictures(job.output) for job in jobs)
    for other in others:
        # Faces that are looked for beside others are placed to a bit, which the encoder shows.
        assert np.abs(one.astype(int) - other).mean() < 0.3
