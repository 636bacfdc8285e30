"""The captured runner with CUDA on paper (`tests.support.paper_cuda`), and what it runs."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from fractions import Fraction
from typing import Any, TypeVar, cast

import pytest
import torch
from torch import Tensor

from pipeline.batching import captured, placed
from pipeline.batching.captured import Captured
from pipeline.batching.cuda import capturing, give_back_memory, new_stream, on_own_stream
from pipeline.batching.row import Row, gather
from pipeline.batching.runner import Column, Direct
from pipeline.batching.shared import Shared
from pipeline.engines.musetalk.painter import Painter
from pipeline.engines.neural.avatar import Avatar
from pipeline.engines.neural.buckets import buckets_on
from pipeline.engines.neural.plan import planned
from pipeline.engines.wav2lip.network import VARIANTS, Wav2Lip
from pipeline.engines.wav2lip.painter import Painter as Wav2LipPainter
from pipeline.hardware import allow
from pipeline.timeline import Timeline
from tests.parity.rule import weights_for
from tests.pipeline.engines.musetalk.tiny import tiny_networks
from tests.support import paper_cuda

ONE = (Fraction(1, 25), Fraction(25), 1)
"""Speech, rate and frames of a job of one frame."""
COLUMNS = [Column((3, 2, 2), torch.float32), Column((4,), torch.float32)]


@pytest.fixture(autouse=True)
def paper(monkeypatch: pytest.MonkeyPatch) -> Callable[[Tensor], Tensor]:
    monkeypatch.setattr(captured, "_WARM_UP", 1)  # nothing is compiled or tuned on paper
    return paper_cuda.install(monkeypatch)


def _network(picture: Tensor, sound: Tensor) -> Tensor:
    return picture * 2 + sound.sum(1)[:, None, None, None]


def _rows(count: int, seed: int = 0) -> tuple[list[Tensor], list[Tensor], Tensor]:
    generator = torch.Generator().manual_seed(seed)
    a = torch.randn(count, 3, 2, 2, generator=generator)
    b = torch.randn(count, 4, generator=generator)
    return list(a), list(b), _network(a, b)


def _values(rows: list[Row]) -> Tensor:
    return gather(rows).as_subclass(Tensor)


def test_a_graph_that_is_replayed_makes_what_the_network_makes_of_new_rows() -> None:
    runner = Captured(_network, COLUMNS, (4, 8), "cpu", compiled=False)
    for turn, count in enumerate((1, 4, 7, 8, 3)):
        a, b, want = _rows(count, turn)
        assert torch.equal(_values(runner([a, b])), want)


def test_kernels_launched_one_by_one_make_the_same_and_no_graph() -> None:
    runs: list[int] = []

    def network(picture: Tensor, sound: Tensor) -> Tensor:
        runs.append(len(picture))
        return _network(picture, sound)

    runner = Captured(network, COLUMNS, (4, 8), "cpu", compiled=False, captured=False)
    runner.warm(8)
    runner.warm(4)
    runs.clear()
    for turn, count in enumerate((8, 3, 4)):
        a, b, want = _rows(count, turn)
        assert torch.equal(_values(runner([a, b])), want)
    assert runs == [8, 4, 4], "a graph runs its network only when it is captured"


def test_memory_that_ends_while_kernels_are_launched_one_by_one_halves_the_batch() -> None:
    full = False

    def network(picture: Tensor, sound: Tensor) -> Tensor:
        if full and len(picture) > 4:
            raise torch.OutOfMemoryError("no room")
        return _network(picture, sound)

    runner = Captured(network, COLUMNS, (4, 8), "cpu", compiled=False, captured=False)
    shared = Shared(runner, (4, 8))
    shared.warm()
    full = True
    a, b, want = _rows(16)
    with shared.open() as job:
        job.submit(list(zip(a, b, strict=True)))
        made = [job.take() for _ in range(16)]
    assert torch.equal(_values(made), want)
    assert shared.limit == 4


@pytest.mark.parametrize(
    ("how", "captured", "compiled"),
    [("compiled", True, True), ("captured", True, False), ("single", False, False)],
)
def test_a_setting_says_how_networks_run_on_a_gpu(
    how: str, captured: bool, compiled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: dict[str, Any] = {}

    def instead(*args: Any, **named: Any) -> None:
        told.update(named, compiled=args[4])

    monkeypatch.setattr(placed, "Captured", instead)
    allow(launching=how)
    try:
        placed.runner_on("cuda", _network, COLUMNS, (4, 8))
    finally:
        allow(launching="compiled")
    assert (told["captured"], told["compiled"]) == (captured, compiled)


def test_batches_that_nobody_has_taken_yet_stay_as_they_were() -> None:
    runner = Captured(_network, COLUMNS, (4,), "cpu", compiled=False)
    flying = [(runner(_rows(n, n)[:2]), _rows(n, n)[2]) for n in (4, 2, 3, 4, 1)]
    for made, want in flying:
        assert torch.equal(_values(made), want)


def test_batches_may_be_taken_in_any_order_and_none_is_read_before_it_is_made() -> None:
    runner = Captured(_network, COLUMNS, (4,), "cpu", compiled=False)
    flying = [(runner(_rows(4, n)[:2]), _rows(4, n)[2]) for n in range(5)]
    unread = flying[-1][0][0].batch
    assert unread.isnan().all(), "the paper device is late: what follows must wait for it"
    for made, want in flying[::-1]:
        assert torch.equal(_values(made), want)


def test_rows_that_lie_on_the_device_are_copied_there_beside_others_from_the_host(
    paper: Callable[[Tensor], Tensor],
) -> None:
    runner = Captured(_network, COLUMNS, (4,), "cpu", compiled=False)
    made = []
    for turn, count in enumerate((4, 2, 3)):
        a, b, want = _rows(count, turn)
        on_device = list(paper(torch.stack(b)).unbind())
        assert on_device[0].device.type == "cuda"
        made.append((runner([a, on_device]), want))
    for rows, want in made:
        assert torch.equal(_values(rows), want)


def test_rows_of_the_device_are_kept_until_it_has_read_them(
    paper: Callable[[Tensor], Tensor],
) -> None:
    class Rows(list[Tensor]):
        """One can see whether somebody has it."""

    runner = Captured(lambda x: x * 2, [Column((2,), torch.float32)], (4,), "cpu", compiled=False)
    rows = Rows(paper(torch.ones(2, 2)).unbind())
    kept = weakref.ref(rows)
    made = [runner([rows])]
    del rows
    made.append(runner([[torch.ones(2)]]))
    assert kept() is not None, "its stage may still be on its way"
    made.append(runner([[torch.ones(2)]]))
    assert kept() is None, "the host has waited for that stage"
    assert torch.equal(_values(made[0]), torch.full((2, 2), 2.0))


def test_a_batch_that_is_gathered_keeps_its_memory_for_the_stream_that_reads_it() -> None:
    runner = Captured(_network, COLUMNS, (4,), "cpu", compiled=False)
    first, second = runner(_rows(2)[:2]), runner(_rows(3)[:2])
    reader: Any = new_stream("cuda")
    with torch.inference_mode(), torch.cuda.stream(reader):
        gather([*first, *second])
    assert [id(batch) for batch in reader.kept] == [id(first[0].batch), id(second[0].batch)]


def test_memory_is_not_given_back_while_a_graph_is_captured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    alone: list[bool] = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: alone.append(capturing.locked()))

    def network(picture: Tensor, sound: Tensor) -> Tensor:
        alone.append(capturing.locked())
        return _network(picture, sound)

    Captured(network, COLUMNS, (4,), "cpu", compiled=False).warm(4)
    give_back_memory()
    assert alone == [True] * 3, "warming up, capturing, giving back"


def test_no_jobs_stream_is_of_the_kind_of_those_that_capture() -> None:
    runner: Any = Captured(_network, COLUMNS, (4,), "cpu", compiled=False)
    track: Any = None
    job: Any = planned(
        Avatar(track, {}, track, track, track, {}), track, Timeline.fit(*ONE), "cuda"
    )
    with on_own_stream("cuda"):
        preparing: Any = torch.cuda.current_stream()
    kinds = {stream.priority for stream in (job.stream, preparing)}
    assert runner._stream.priority not in kinds


def test_a_size_that_is_refused_first_leaves_smaller_ones_to_the_batches_that_wait() -> None:
    def network(picture: Tensor, sound: Tensor) -> Tensor:
        if len(picture) > 8:
            raise torch.OutOfMemoryError("no room")
        return _network(picture, sound)

    shared = Shared(Captured(network, COLUMNS, (8, 16, 64), "cpu", compiled=False), (8, 16, 64))
    a, b, want = _rows(12)
    with shared.open() as lane:
        lane.submit(list(zip(a, b, strict=True)))
        assert torch.equal(_values([lane.take() for _ in range(12)]), want)
    assert shared.limit == 8


def test_the_host_waits_for_a_batch_only_when_two_are_behind_it() -> None:
    runner = Captured(_network, COLUMNS, (4,), "cpu", compiled=False)
    events = [runner(_rows(2, n)[:2])[0].done for n in range(4)]
    assert [event.waits for event in events] == [1, 1, 0, 0]  # type: ignore[union-attr]


def test_a_size_without_room_is_left_and_the_next_runs_under_load() -> None:
    seen: list[int] = []

    def network(picture: Tensor, sound: Tensor) -> Tensor:
        if len(picture) > 4:
            raise torch.OutOfMemoryError("no room")
        seen.append(len(picture))
        return _network(picture, sound)

    shared = Shared(Captured(network, COLUMNS, (8, 16), "cpu", compiled=False), (8, 16))
    a, b, want = _rows(20)
    with shared.open() as lane:
        lane.submit(list(zip(a, b, strict=True)))
        assert torch.equal(_values([lane.take() for _ in range(20)]), want)
    assert shared.limit == 4
    assert set(seen) == {4}


def test_a_gpus_largest_buckets_fill_under_load_and_halve_where_memory_ends() -> None:
    sizes: list[int] = []

    def network(picture: Tensor, sound: Tensor) -> Tensor:
        if len(picture) > 64:
            raise torch.OutOfMemoryError("no room")
        sizes.append(len(picture))
        return _network(picture, sound)

    allow(largest_batch=128)
    try:
        buckets = buckets_on("cuda")
    finally:
        allow(largest_batch=64)
    assert buckets == (8, 16, 32, 64, 128)
    assert buckets_on("cuda:1") == buckets[:-1]
    shared = Shared(Captured(network, COLUMNS, buckets, "cpu", compiled=False), buckets)
    shared.warm()
    assert shared.limit == 64
    assert set(sizes) == {8, 16, 32, 64}
    a, b, want = _rows(200)
    with shared.open() as one, shared.open() as other:
        one.submit(list(zip(a[:130], b[:130], strict=True)))
        other.submit(list(zip(a[130:], b[130:], strict=True)))
        made = [one.take() for _ in range(130)] + [other.take() for _ in range(70)]
    assert torch.equal(_values(made), want)
    assert max(len(row.batch) for row in made) == 64


def test_a_number_read_on_the_host_is_found_when_it_is_captured(
    caplog: pytest.LogCaptureFixture,
) -> None:
    runner = Captured(lambda x: x * float(x[0]), [Column((), torch.float32)], (2,), "cpu", False)
    for number in (3.0, 5.0):
        assert _values(runner([[torch.tensor(number)]])).tolist() == [number**2]
    (said,) = caplog.messages
    assert "reads a number on the host" in said


def _musetalk() -> Painter:
    return Painter(tiny_networks(), "cpu", buckets=(2, 4), compiled=False)


def _wav2lip() -> Wav2LipPainter:
    network = Wav2Lip(VARIANTS[96], width=1 / 8)
    network.load_state_dict(weights_for(network, "tiny"))
    return Wav2LipPainter(
        network.eval().requires_grad_(False), "cpu", buckets=(2, 4), compiled=False
    )


@pytest.mark.parametrize(
    "make",
    [_musetalk, _wav2lip],
    ids=["musetalk", "wav2lip"],
)
def test_the_engines_networks_can_be_captured_and_make_the_same_pictures(
    make: Callable[[], Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    direct = make()
    monkeypatch.setattr(placed, "is_cuda", lambda device: True)
    graphs = make()
    pairs = zip(_runners(graphs, Captured), _runners(direct, Direct), strict=True)
    for runner, other in pairs:
        for seed, count in enumerate((min(3, runner._sizes.largest), 1)):
            columns = [_column(column, count, seed) for column in runner._columns]
            found, want = _values(runner(columns)), _values(other(columns))
            assert (found.float() - want.float()).abs().max() <= 1e-4 * want.float().abs().max() + 1
    assert caplog.messages == [], "one that cannot be captured says so and goes on"


Kind = TypeVar("Kind")


def _runners(painter: object, kind: type[Kind]) -> list[Kind]:
    found = [each._runner for each in vars(painter).values() if isinstance(each, Shared)]
    assert found
    assert all(isinstance(runner, kind) for runner in found)
    return cast("list[Kind]", found)


def _column(column: Column, count: int, seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.rand(count, *column.shape, generator=generator)
    scale = 255 if column.dtype == torch.uint8 else 1
    return list((drawn * scale).to(column.dtype))
