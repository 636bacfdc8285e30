"""The engines `musetalk`, `musetalk-fast` and `wav2lip` through their whole protocol.

Networks are shrunken and have the rule's weights; everything around them is real.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.engines.musetalk.boxes import points_68
from pipeline.engines.musetalk.engine import MuseTalkEngine
from pipeline.engines.neural import avatar
from pipeline.engines.neural.boxes import Box
from pipeline.engines.planes import Window, read_rgb
from pipeline.engines.wav2lip.engine import LICENCE, Wav2LipEngine, load_engine, load_network
from pipeline.engines.wav2lip.network import VARIANTS, Wav2Lip
from pipeline.errors import NoFace, WeightsMissing
from pipeline.timeline import Timeline
from pipeline.types import Frame, Tick
from tests.parity.rule import weights_for
from tests.pipeline.engines import synthetic
from tests.pipeline.engines.musetalk.tiny import tiny_networks
from tests.pipeline.engines.resized import opencv_linear
from tests.pipeline.engines.single import crop, face_box, soft_mask, write_rgb

Make = Callable[[], Any]


def _musetalk() -> MuseTalkEngine:
    return MuseTalkEngine(tiny_networks(), "cpu", fast=False, used=[])


def _fast() -> MuseTalkEngine:
    return MuseTalkEngine(tiny_networks(fast=True), "cpu", fast=True, used=[])


def _wav2lip() -> Wav2LipEngine:
    network = Wav2Lip(VARIANTS[96], width=1 / 8)
    network.load_state_dict(weights_for(network, "tiny"))
    return Wav2LipEngine(network.eval().requires_grad_(False), "cpu", [])


ENGINES = pytest.mark.parametrize("make", [_musetalk, _fast, _wav2lip])


def _timeline(seconds: float, frames: int, fps: Fraction = Fraction(25)) -> Timeline:
    return Timeline.fit(Fraction(seconds).limit_denominator(1000), Fraction(25), frames, fps=fps)


def _run(engine: Any, scratch: Path, seconds: float = 0.5, batch: int = 8, **clip: Any) -> Any:
    """Prepare, plan, generate in batches, finish; returns what came out and what went in."""
    reference = synthetic.reference(scratch, **clip)
    avatar = engine.prepare(reference, lambda tick: None)
    timeline = _timeline(seconds, reference.video.frames)
    plan = engine.plan(avatar, synthetic.speech(seconds), timeline)
    sources = [timeline.source(n) for n in range(timeline.frames)]
    frames = list(reference.frames(sources))
    made: list[Frame] = []
    for start in range(0, len(frames), batch):
        outputs = range(start, min(start + batch, len(frames)))
        made += engine.generate(plan, frames[start : start + batch], outputs)
    return frames, made, engine.finish(plan), reference, timeline


def _same(a: Frame, b: Frame) -> bool:
    return all(torch.equal(x, y) for x, y in ((a.y, b.y), (a.u, b.u), (a.v, b.v)))


@ENGINES
def test_mouth_is_painted_and_nothing_else_changes(make: Make, tmp_path: Path) -> None:
    frames, made, finish, reference, _ = _run(make(), tmp_path)
    assert len(made) == len(frames) == 12
    assert finish.quality["painted_frames"] == 12
    for before, after in zip(frames, made, strict=True):
        assert after.index == before.index
        changed = (before.y != after.y).nonzero()
        assert len(changed) > 500
        points = reference.track.points(before.index, before.index + 1)[0]
        low, high = points[:, :2].min(dim=0).values, points[:, :2].max(dim=0).values
        assert changed[:, 1].min() >= low[0] - 2
        assert changed[:, 1].max() <= high[0] + 2
        assert changed[:, 0].min() >= points[5, 1] - 20  # the lower half, and the blur's reach
        assert changed[:, 0].max() <= high[1] + 12


@ENGINES
def test_frames_without_a_face_pass_through_and_the_mouth_fades_around_them(
    make: Make, tmp_path: Path
) -> None:
    frames, made, finish, _, timeline = _run(make(), tmp_path, faceless=[2, 3])
    gone = [n for n in range(timeline.frames) if timeline.source(n) in (2, 3)]
    assert all(_same(made[n], frames[n]) for n in gone)
    assert finish.quality["passed_frames"] == len(gone)
    covered = [n for span in finish.spans for n in range(span.start_frame, span.end_frame)]
    assert covered == gone
    assert {span.kind for span in finish.spans} == {"no_face"}
    _, full, _, _, _ = _run(make(), tmp_path)
    near = gone[0] - 1
    change = (made[near].y.float() - frames[near].y.float()).abs().mean()
    whole = (full[near].y.float() - frames[near].y.float()).abs().mean()
    assert 0 < change < 0.5 * whole


@ENGINES
def test_batches_make_the_same_frames_as_single_frames(make: Make, tmp_path: Path) -> None:
    engine = make()
    _, together, _, _, _ = _run(engine, tmp_path, seconds=0.3)
    _, alone, _, _, _ = _run(engine, tmp_path, seconds=0.3, batch=1)
    for a, b in zip(together, alone, strict=True):
        assert (a.y.int() - b.y.int()).abs().max() <= 1


@ENGINES
def test_speech_moves_the_mouth(make: Make, tmp_path: Path) -> None:
    engine = make()
    reference = synthetic.reference(tmp_path, frames=1)
    avatar = engine.prepare(reference, lambda tick: None)
    timeline = _timeline(0.4, 1)
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
        engine.prepare(reference, lambda tick: None), synthetic.speech(0.1), _timeline(0.1, 1)
    )
    (before,) = reference.frames([0])
    (after,) = engine.generate(plan, [before], [0])
    assert after.y.shape == (170, 180)
    assert not _same(before, after)


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
    engine = _musetalk()
    avatar = engine.prepare(synthetic.reference(tmp_path, frames=10), lambda tick: None)
    assert list(tmp_path.iterdir()) == []
    assert (len(avatar.inputs), *avatar.inputs.shape) == (10, 8, 32, 32)
    assert not torch.equal(avatar.inputs[[0]], avatar.inputs[[9]])


def test_same_job_gives_the_same_pixels(tmp_path: Path) -> None:
    _, a, _, _, _ = _run(_musetalk(), tmp_path, seconds=0.2)
    _, b, _, _, _ = _run(_musetalk(), tmp_path, seconds=0.2)
    assert all(_same(x, y) for x, y in zip(a, b, strict=True))


def test_device_without_memory_gets_smaller_batches_and_nothing_fails(tmp_path: Path) -> None:
    engine = _musetalk()
    unet = engine.painter.networks.unet
    sizes: list[int] = []

    def refuse(_: Any, args: tuple[Any, ...]) -> None:
        sizes.append(len(args[0]))
        if len(args[0]) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")

    hook = unet.register_forward_pre_hook(refuse)
    try:
        _, made, _, _, _ = _run(engine, tmp_path, seconds=0.3)
    finally:
        hook.remove()
    _, want, _, _, _ = _run(_musetalk(), tmp_path, seconds=0.3)
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
    avatar, timeline = engine.prepare(reference, lambda tick: None), _timeline(0.2, 6)
    paused = engine.plan(avatar, synthetic.speech(0.2), timeline)
    plans = [engine.plan(avatar, synthetic.speech(0.2), timeline) for _ in range(2)]
    frames = list(reference.frames(timeline.source(n) for n in range(timeline.frames)))
    for plan in (paused, *plans):  # the others offer while the first one's batch runs
        assert plan.ahead is not None
        plan.ahead._offer(timeline.frames)
        assert begun.wait(60)
    go_on.set()
    made = [engine.generate(plan, frames, range(len(frames))) for plan in plans]
    assert all(_same(a, b) for a, b in zip(*made, strict=True))
    assert sizes == [5, 8, 2], "the second batch holds faces of both"
    for plan in (*plans, paused):
        engine.finish(plan)


@pytest.mark.parametrize("make", [_musetalk, _wav2lip])
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


def test_full_weight_takes_the_painted_pixel(tmp_path: Path) -> None:
    """Where the mask is full, the frame shows what the network painted, fitted to the box."""
    engine = _musetalk()
    reference = synthetic.reference(tmp_path, frames=1)
    prepared = engine.prepare(reference, lambda tick: None)
    plan = engine.plan(prepared, synthetic.speech(0.1), _timeline(0.1, 1))
    (before,) = reference.frames([0])
    (after,) = engine.generate(plan, [before], [0])
    box = prepared.boxes[0]
    mask = soft_mask(reference.track.points(0, 1)[0, :, :2], box)
    assert (mask == 255).any()
    shown = read_rgb(after, Window(box.x0, box.y0, box.x1, box.y1), synthetic.COLOR)
    kept = read_rgb(before, Window(box.x0, box.y0, box.x1, box.y1), synthetic.COLOR)
    assert (shown.int() - kept.int()).abs()[:, mask == 255].float().mean() > 5


def _own_checkpoint(folder: Path, width: float = 1.0) -> Path:
    network = Wav2Lip(VARIANTS[96], width)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "wav2lip_gan.pth"
    state = {f"module.{key}": value for key, value in network.state_dict().items()}
    torch.save({"state_dict": state, "global_step": 3}, path)
    return path


def test_own_checkpoint_is_loaded_and_its_licence_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _own_checkpoint(tmp_path / "wav2lip")
    engine = load_engine(tmp_path, "cpu")
    assert LICENCE in caplog.text
    assert engine.facts.version == "96"
    assert [fact.name for fact in engine.facts.weights] == ["wav2lip_gan.pth"]
    assert "research" in LICENCE
    _, _, finish, _, _ = _run(engine, tmp_path, seconds=0.05, frames=2)
    assert finish.warnings == [LICENCE]


@pytest.mark.parametrize("halved", ["", "conv_block.0"])
def test_checkpoint_saved_in_halves_whole_or_in_part_paints_as_any_other(
    tmp_path: Path, halved: str
) -> None:
    path = _own_checkpoint(tmp_path / "wav2lip")
    state = torch.load(path, weights_only=True)["state_dict"]
    for key, value in state.items():
        if halved in key and value.is_floating_point():
            state[key] = value.half()
    torch.save(state, path)
    _, made, _, _, _ = _run(load_engine(tmp_path, "cpu"), tmp_path, seconds=0.05, frames=2)
    assert len(made) == 1
    assert {value.dtype for value in load_network(path).parameters()} == {torch.float32}


def test_what_is_no_file_is_no_checkpoint(tmp_path: Path) -> None:
    _own_checkpoint(tmp_path / "wav2lip")
    (tmp_path / "wav2lip" / "unpacked.pth").mkdir()
    assert load_engine(tmp_path, "cpu").facts.version == "96"
    with pytest.raises(WeightsMissing, match=r"unpacked\.pth is no readable .*directory"):
        load_network(tmp_path / "wav2lip" / "unpacked.pth")


def test_missing_or_ambiguous_checkpoint_says_where_to_put_it(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match=f"{tmp_path / 'wav2lip'}.*found: none"):
        load_engine(tmp_path, "cpu")
    path = _own_checkpoint(tmp_path / "wav2lip", width=1 / 32)
    path.with_name("other.pth").write_bytes(path.read_bytes())
    with pytest.raises(WeightsMissing, match=r"other\.pth, wav2lip_gan\.pth"):
        load_engine(tmp_path, "cpu")


def test_checkpoint_of_another_shape_is_refused_by_name(tmp_path: Path) -> None:
    path = _own_checkpoint(tmp_path, width=1 / 32)
    with pytest.raises(WeightsMissing, match="of another shape"):
        load_network(path)
    torch.save({"state_dict": {"a": torch.zeros(1)}}, path)
    with pytest.raises(WeightsMissing, match="96, 256 or 288"):
        load_network(path)


def test_geometry_brings_a_face_back_where_it_was(tmp_path: Path) -> None:
    """A network that painted exactly what it saw would change nothing that an eye can see."""
    reference = synthetic.reference(tmp_path, frames=1)
    (before,) = reference.frames([0])
    points = reference.track.points(0, 1)[0, :, :2]
    box = face_box(points_68(points), 240, 320)
    assert box is not None
    window = Window(box.x0, box.y0, box.x1, box.y1)
    seen = crop(read_rgb(before, window, synthetic.COLOR), Box(0, 0, box.width, box.height))
    fitted = opencv_linear(seen, box.height, box.width)
    after = write_rgb(before, fitted, soft_mask(points, box), window, synthetic.COLOR)
    apart = (before.y.int() - after.y.int()).abs()
    assert apart.max() <= 6
    assert apart.float().mean() < 0.2
    moved = fitted.roll(1, dims=-1)
    wrong = write_rgb(before, moved, soft_mask(points, box), window, synthetic.COLOR)
    assert (before.y.int() - wrong.y.int()).abs().max() > 2 * apart.max()
