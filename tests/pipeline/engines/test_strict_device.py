"""Everything of a frame stays on its device: whole runs on a CUDA device that is strict.

The device (`tests.support.strict_cuda`) is only said, but torch's rules of devices, streams and
captures hold on it. What raises on the first contact with a GPU, or lets the host wait there, does
so here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pipeline.batching import captured
from pipeline.batching.cuda import on_own_stream
from pipeline.engines.musetalk.engine import MuseTalkEngine, tuned
from pipeline.engines.neural import painter
from pipeline.engines.viseme.engine import VisemeEngine
from pipeline.engines.wav2lip.engine import Wav2LipEngine
from pipeline.hardware import allow
from pipeline.timeline import Timeline
from pipeline.types import Frame
from tests.pipeline.engines import synthetic
from tests.pipeline.engines.musetalk.tiny import tiny_networks
from tests.pipeline.engines.runs import same, timeline_of, wav2lip_network
from tests.pipeline.engines.viseme import jobs, puppet
from tests.support.strict_cuda import StrictCuda, strict_cuda

GPU = "cuda:0"


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Iterator[StrictCuda]:
    monkeypatch.setattr(captured, "_WARM_UP", 1)  # nothing is compiled or tuned here
    monkeypatch.setattr(painter, "buckets_on", lambda _: (2, 4))
    allow(launching="captured")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as jobs on a GPU do
    with strict_cuda() as made:
        yield made
    torch.set_num_threads(threads)
    allow(launching="compiled")
    assert made.races == []


def _viseme(poses: list[puppet.Pose], scratch: Path, device: str) -> tuple[Any, Any, list[Frame]]:
    reference = replace(puppet.reference(poses, scratch), device=device)
    engine = VisemeEngine(device, [])
    avatar = engine.prepare(reference, lambda tick: None)
    sound = jobs.speech(0.2)
    timeline = Timeline.fit(sound.duration, reference.video.fps, reference.video.frames)
    plan = engine.plan(avatar, sound, timeline)
    frames = list(reference.frames(timeline.source(n) for n in range(timeline.frames)))
    return engine, plan, frames


@jobs.MODES
def test_viseme_paints_on_a_device_what_it_paints_on_the_host_and_waits_once_a_batch(
    poses: list[puppet.Pose], mode: str, tmp_path: Path, device: StrictCuda
) -> None:
    engine, plan, frames = _viseme(poses[:60], tmp_path, "cpu")
    want = engine.generate(plan, frames, range(len(frames)))
    engine, plan, frames = _viseme(poses[:60], tmp_path, GPU)
    assert plan.avatar.mode == mode
    first = engine.generate(plan, frames, range(len(frames)))
    device.waits.clear()
    before = device.asleep
    again = engine.generate(plan, frames, range(len(frames)))
    assert dict(device.waits) == {}, "what is brought once for all jobs is there by now"
    assert device.asleep - before == 1
    for made in (first, again):
        assert all(same(a, b) for a, b in zip(made, want, strict=True))


def _musetalk(device: str, fast: bool = False) -> MuseTalkEngine:
    of = deepcopy(tiny_networks(fast))
    for network in (of.unet, of.vae, of.decoder, of.whisper):
        network.to(device)
    return MuseTalkEngine(tuned(of, innermost=device == GPU), device, fast=fast, used=[])


def _wav2lip(device: str, side: int = 96) -> Wav2LipEngine:
    return Wav2LipEngine(wav2lip_network(side).to(device), device, [])


MAKE = {
    "musetalk": _musetalk,
    "musetalk-fast": partial(_musetalk, fast=True),
    "wav2lip 96": _wav2lip,
    "wav2lip 256": partial(_wav2lip, side=256),
    "wav2lip 288": partial(_wav2lip, side=288),
}


@pytest.mark.parametrize("make", MAKE.values(), ids=MAKE)
def test_networks_paint_on_a_device_what_they_paint_on_the_host_and_wait_once_a_batch(
    make: Callable[[str], Any], tmp_path: Path, device: StrictCuda
) -> None:
    want, _ = _painted(make("cpu"), "cpu", tmp_path, device)
    made, waits = _painted(make(GPU), GPU, tmp_path, device)
    assert waits == {}
    for a, b in zip(made, want, strict=True):
        assert (a.y.int() - b.y.int()).abs().max() <= 1


def test_faces_for_which_a_device_has_no_memory_at_once_are_painted_in_halves(
    tmp_path: Path, device: StrictCuda
) -> None:
    want, _ = _painted(_wav2lip("cpu"), "cpu", tmp_path, device)
    network, ran = wav2lip_network().to(GPU), list[int]()

    def scarce(_: nn.Module, given: tuple[Tensor, ...]) -> None:
        ran.append(len(given[0]))
        if ran[-1] > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")

    network.register_forward_pre_hook(scarce)
    made, _ = _painted(Wav2LipEngine(network, GPU, []), GPU, tmp_path, device)
    assert set(ran) == {4, 2, 1}
    for a, b in zip(made, want, strict=True):
        assert (a.y.int() - b.y.int()).abs().max() <= 1


def _painted(
    engine: Any, at: str, scratch: Path, device: StrictCuda
) -> tuple[list[Frame], dict[str, int]]:
    """The frames of a job on its own stream, and for what it waited while it painted."""
    reference = replace(synthetic.reference(scratch, frames=3), device=at)
    with torch.inference_mode(), on_own_stream(at):
        avatar = engine.prepare(reference, lambda tick: None)
        timeline = timeline_of(0.16, 3)
        plan = engine.plan(avatar, synthetic.speech(0.16), timeline)
        frames = list(reference.frames(timeline.source(n) for n in range(timeline.frames)))
        made = engine.generate(plan, frames[:2], range(2))
        device.waits.clear()
        made += engine.generate(plan, frames[2:], range(2, len(frames)))
        waits = dict(device.waits)
        engine.finish(plan)
    return made, waits
