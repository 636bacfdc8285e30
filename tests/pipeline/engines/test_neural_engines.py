"""The engines `musetalk`, `musetalk-fast` and `wav2lip` through their whole protocol.

Networks are shrunken and have the rule's weights; everything around them is real.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.batching.shared import Shared
from pipeline.engines.neural import avatar
from pipeline.engines.wav2lip.engine import Wav2LipEngine
from pipeline.engines.wav2lip.network import VARIANTS, Wav2Lip
from pipeline.errors import NoFace
from pipeline.types import Tick
from tests.parity.rule import weights_for
from tests.pipeline.engines import synthetic
from tests.pipeline.engines.runs import musetalk, musetalk_fast, run, same, timeline_of, wav2lip

Make = Callable[[], Any]
ENGINES = pytest.mark.parametrize("make", [musetalk, musetalk_fast, wav2lip])


@ENGINES
def test_mouth_is_painted_and_nothing_else_changes(make: Make, tmp_path: Path) -> None:
    done = run(make(), tmp_path)
    assert len(done.after) == len(done.before) == 12
    assert done.finish.quality["painted_frames"] == 12
    for before, after in zip(done.before, done.after, strict=True):
        assert after.index == before.index
        changed = (before.y != after.y).nonzero()
        assert len(changed) > 500
        points = done.reference.track.points(before.index, before.index + 1)[0]
        low, high = points[:, :2].min(dim=0).values, points[:, :2].max(dim=0).values
        assert changed[:, 1].min() >= low[0] - 2
        assert changed[:, 1].max() <= high[0] + 2
        assert changed[:, 0].min() >= points[5, 1] - 20  # the lower half, and the blur's reach
        assert changed[:, 0].max() <= high[1] + 12


@ENGINES
def test_frames_without_a_face_pass_through_and_the_mouth_fades_around_them(
    make: Make, tmp_path: Path
) -> None:
    done = run(make(), tmp_path, faceless=[2, 3])
    frames, made, timeline = done.before, done.after, done.timeline
    gone = [n for n in range(timeline.frames) if timeline.source(n) in (2, 3)]
    assert all(same(made[n], frames[n]) for n in gone)
    assert done.finish.quality["passed_frames"] == len(gone)
    covered = [n for span in done.finish.spans for n in range(span.start_frame, span.end_frame)]
    assert covered == gone
    assert {span.kind for span in done.finish.spans} == {"no_face"}
    full = run(make(), tmp_path).after
    near = gone[0] - 1
    change = (made[near].y.float() - frames[near].y.float()).abs().mean()
    whole = (full[near].y.float() - frames[near].y.float()).abs().mean()
    assert 0 < change < 0.5 * whole


@ENGINES
def test_batches_make_the_same_frames_as_single_frames(make: Make, tmp_path: Path) -> None:
    engine = make()
    together = run(engine, tmp_path, seconds=0.3).after
    alone = run(engine, tmp_path, seconds=0.3, batch=1).after
    for a, b in zip(together, alone, strict=True):
        assert (a.y.int() - b.y.int()).abs().max() <= 1


@ENGINES
def test_speech_moves_the_mouth(make: Make, tmp_path: Path) -> None:
    engine = make()
    reference = synthetic.reference(tmp_path, frames=1)
    avatar = engine.prepare(reference, lambda tick: None)
    timeline = timeline_of(0.4, 1)
    frames = list(reference.frames([0] * timeline.frames))
    loud = engine.plan(avatar, synthetic.speech(0.4), timeline)
    quiet = engine.plan(avatar, synthetic.Speech(torch.zeros(6400)), timeline)
    a = engine.generate(loud, frames, range(len(frames)))
    b = engine.generate(quiet, frames, range(len(frames)))
    assert any(not torch.equal(x.y, y.y) for x, y in zip(a, b, strict=True))


@ENGINES
def test_clip_without_a_face_is_refused(make: Make, tmp_path: Path) -> None:
    with pytest.raises(NoFace, match="none of the 3 frames"):
        make().prepare(
            synthetic.reference(tmp_path, frames=3, faceless=range(3)), lambda tick: None
        )


@ENGINES
def test_face_at_the_edge_of_the_picture_is_painted_inside_it(make: Make, tmp_path: Path) -> None:
    reference = synthetic.reference(tmp_path, frames=1, height=170, width=180)
    engine = make()
    plan = engine.plan(
        engine.prepare(reference, lambda tick: None), synthetic.speech(0.1), timeline_of(0.1, 1)
    )
    (before,) = reference.frames([0])
    (after,) = engine.generate(plan, [before], [0])
    assert after.y.shape == (170, 180)
    assert not same(before, after)


@ENGINES
def test_progress_is_told_and_can_stop_the_preparation(make: Make, tmp_path: Path) -> None:
    ticks: list[Tick] = []
    make().prepare(synthetic.reference(tmp_path, frames=10), ticks.append)
    assert ticks[-1].done == ticks[-1].total == 10

    class Stop(Exception):
        pass

    def stop(_: Tick) -> None:
        raise Stop

    with pytest.raises(Stop):
        make().prepare(synthetic.reference(tmp_path, frames=10), stop)


def test_latents_leave_no_file_behind_and_are_the_pictures_own(tmp_path: Path) -> None:
    engine = musetalk()
    avatar = engine.prepare(synthetic.reference(tmp_path, frames=10), lambda tick: None)
    assert list(tmp_path.iterdir()) == []
    assert (len(avatar.inputs), *avatar.inputs.shape) == (10, 8, 32, 32)
    assert not torch.equal(avatar.inputs[[0]], avatar.inputs[[9]])


def test_same_job_gives_the_same_pixels(tmp_path: Path) -> None:
    one, other = (run(musetalk(), tmp_path, seconds=0.2).after for _ in range(2))
    assert all(same(a, b) for a, b in zip(one, other, strict=True))


def test_device_without_memory_gets_smaller_batches_and_nothing_fails(tmp_path: Path) -> None:
    engine = musetalk()
    unet = engine.painter.networks.unet
    sizes: list[int] = []

    def refuse(_: Any, args: tuple[Any, ...]) -> None:
        sizes.append(len(args[0]))
        if len(args[0]) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")

    hook = unet.register_forward_pre_hook(refuse)
    try:
        made = run(engine, tmp_path, seconds=0.3).after
    finally:
        hook.remove()
    want = run(musetalk(), tmp_path, seconds=0.3).after
    assert sizes[:3] == [8, 4, 2]
    assert all((a.y.int() - b.y.int()).abs().max() <= 1 for a, b in zip(made, want, strict=True))


def test_wav2lip_jobs_share_batches_and_wait_for_nobody(tmp_path: Path) -> None:
    network = Wav2Lip(VARIANTS[96], width=1 / 8)
    network.load_state_dict(weights_for(network, "tiny"))
    engine = Wav2LipEngine(network.eval().requires_grad_(False), "cpu", [])
    sizes: list[int] = []
    begun, go_on = threading.Event(), threading.Event()

    def note(_: Any, given: tuple[Any, ...]) -> None:
        sizes.append(len(given[0]))
        begun.set()
        assert go_on.wait(60)

    network.register_forward_pre_hook(note)
    reference = synthetic.reference(tmp_path, frames=6)
    avatar, timeline = engine.prepare(reference, lambda tick: None), timeline_of(0.2, 6)
    paused = engine.plan(avatar, synthetic.speech(0.2), timeline)
    plans = [engine.plan(avatar, synthetic.speech(0.2), timeline) for _ in range(2)]
    frames = list(reference.frames(timeline.source(n) for n in range(timeline.frames)))
    for plan in (paused, *plans):  # the others offer while the first one's batch runs
        assert plan.ahead is not None
        plan.ahead._offer(timeline.frames)
        assert begun.wait(60)
    go_on.set()
    made = [engine.generate(plan, frames, range(len(frames))) for plan in plans]
    assert all(same(a, b) for a, b in zip(*made, strict=True))
    assert sizes == [5, 8, 2], "the second batch holds faces of both"
    for plan in (*plans, paused):
        engine.finish(plan)


@pytest.mark.parametrize("make", [musetalk, wav2lip])
def test_a_reference_is_prepared_alike_in_pieces_of_any_size(
    make: Callable[[], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GPU takes other pieces than the CPU."""
    whole = make().prepare(synthetic.reference(tmp_path, frames=2), lambda tick: None)
    monkeypatch.setattr(avatar, "_CHUNK", 1)
    parts = make().prepare(synthetic.reference(tmp_path, frames=2), lambda tick: None)
    assert parts.boxes == whole.boxes
    assert len(whole.masks) == len(whole.inputs) == 2
    assert torch.equal(parts.masks[range(2)], whole.masks[range(2)])
    torch.testing.assert_close(parts.inputs[range(2)], whole.inputs[range(2)])


def test_a_late_job_goes_first_where_its_reference_is_encoded_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = musetalk()
    opened: list[tuple[Shared, float | None]] = []
    whole = Shared.open

    def note(shared: Shared, deadline: float | None = None) -> Any:
        opened.append((shared, deadline))
        return whole(shared, deadline)

    monkeypatch.setattr(Shared, "open", note)
    engine.prepare(replace(synthetic.reference(tmp_path), deadline=123.0), lambda _: None)
    assert opened == [(engine.painter._encoding, 123.0)]
