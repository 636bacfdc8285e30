"""The engine `duix` brings every task to one certain end, whatever the container does."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import pytest

from pipeline import render as story
from pipeline.engines import registry
from pipeline.engines.duix.client import Patience
from pipeline.engines.duix.contract import Unintelligible, read_answer, read_task, submission
from pipeline.engines.duix.engine import DuixEngine
from pipeline.engines.duix.place import Place
from pipeline.errors import Cancelled, EngineFailed, EngineUnavailable
from pipeline.types import RenderSpec, Tick
from pipeline.writing import nvenc
from schemas.codes import Stage
from schemas.request import LabelOptions, Loop, RenderOptions
from tests.pipeline.engines.duix.standin import Behaviour, Container, container
from tests.pipeline.writing.breaking import stand_in, unsteady
from tests.support.media import Clip, Tone, write_clip, write_sound

QUICK = Patience(poll=0.02, call=5, silent=0.5, locked=0.3, gone=0.3, still=0.6, still_per_second=0)
MakeSpec = Callable[..., RenderSpec]


@pytest.fixture
def spec(tmp_path: Path) -> MakeSpec:
    """A job: 2 s of speech on 1 s of video at 25 fps."""
    folder = tmp_path / "job"
    folder.mkdir()
    audio = write_sound(tmp_path / "speech.wav", Tone(2.0, codec="pcm_s16le"))
    video = write_clip(tmp_path / "face.mp4", Clip(192, 128, frames=25))

    def make(**options: Any) -> RenderSpec:
        return RenderSpec(
            audio=audio,
            video=video,
            output=folder / "out.mp4",
            scratch=folder,
            engine="duix",
            options=RenderOptions(**options),
            job_id="duix-job",
        )

    return make


def _render(
    monkeypatch: pytest.MonkeyPatch,
    there: Container,
    spec: RenderSpec,
    on_tick: Callable[[Tick], None] = lambda _: None,
) -> Any:
    engine = DuixEngine(Place(there.url, there.data), QUICK)
    monkeypatch.setattr(registry, "create", lambda *_: engine)
    return story.render(spec, on_tick)


def _leftovers(there: Container) -> list[str]:
    return [path.name for path in (there.data / "temp").iterdir()]


def test_a_job_is_rendered_by_the_container_and_finished_by_us(
    spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks: list[Tick] = []
    with container(tmp_path / "data") as there:
        report = _render(monkeypatch, there, spec(), ticks.append)
        assert _leftovers(there) == []
    assert (report.media.frames, report.media.fps) == (50, "25/1")
    assert report.media.audio_rate == 44100
    assert report.engine.name == "duix"
    assert report.engine.device == there.url
    assert [tick.done for tick in ticks if tick.stage == "generate"][-1] == 20
    with av.open(str(tmp_path / "job" / "out.mp4")) as made:
        assert "AIGC" in made.metadata
        frame = next(made.decode(video=0)).to_ndarray(format="yuv420p")
    chroma = frame[128:]
    assert abs(int(chroma.mean()) - 128) <= 1, "the container's picture, not the reference's"


@pytest.mark.parametrize(
    ("options", "pn", "chaofen", "mark"),
    [
        ({}, "1", "0", "0"),
        ({"loop": Loop.REPEAT}, "0", "0", "0"),
        ({"loop": Loop.HOLD}, "0", "0", "0"),
        ({"enhance": True}, "1", "1", "0"),
        ({"watermark": True}, "1", "0", "1"),
        ({"label": LabelOptions()}, "1", "0", "0"),
    ],
)
def test_options_become_its_switches(
    options: Any,
    pn: str,
    chaofen: str,
    mark: str,
    spec: MakeSpec,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with container(tmp_path / "data") as there:
        report = _render(monkeypatch, there, spec(**options))
        sent = there.submitted[0]
    assert (sent["pn"], sent["chaofen"], sent["watermark_switch"]) == (pn, chaofen, mark)
    assert "/" not in sent["audio_url"] + sent["video_url"]
    assert report.media.frames == 50
    assert report.labels["visible"] is ("label" in options)


def test_another_rate_is_ours_to_make(
    spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with container(tmp_path / "data") as there:
        report = _render(monkeypatch, there, spec(fps=50, max_height=64))
    assert (report.media.frames, report.media.fps, report.media.height) == (100, "50/1", 64)


def test_a_busy_container_is_waited_for(
    spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    behave = Behaviour(busy=60, locked=2)
    with container(tmp_path / "data", behave) as there:
        assert _render(monkeypatch, there, spec()).media.frames == 50
        assert there.refused == 60, "longer than any patience with silence or its lock"


def test_jobs_take_turns_at_one_container(spec: MakeSpec, tmp_path: Path) -> None:
    made: list[Path] = []
    with container(tmp_path / "data") as there:

        def one(name: str) -> None:
            from pipeline.engines.whole import WholeJob
            from pipeline.reading.probe import probe_audio, probe_video

            job = spec()
            folder = tmp_path / name
            folder.mkdir()
            whole = WholeJob(
                probe_audio(job.audio, job.limits),
                probe_video(job.video, job.limits, job.options),
                job.options,
                job.limits,
                folder,
                1,
            )
            engine = DuixEngine(Place(there.url, there.data), QUICK)
            made.append(engine.render_whole(whole, lambda _: None))

        threads = [threading.Thread(target=one, args=(f"t{n}",)) for n in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(there.submitted) == 3
    assert len({path for path in made if path.is_file()}) == 3


def test_a_result_is_found_when_somebody_else_saw_the_end(
    spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with container(tmp_path / "data", Behaviour(forget_late=True)) as there:
        assert _render(monkeypatch, there, spec()).media.frames == 50


def test_a_lost_answer_does_not_lose_the_task(
    spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with container(tmp_path / "data", Behaviour(lose_answer=True)) as there:
        assert _render(monkeypatch, there, spec()).media.frames == 50
        assert len(there.submitted) == 1, "not submitted twice"


def test_passing_nonsense_is_borne(
    spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with container(tmp_path / "data", Behaviour(nonsense=3)) as there:
        assert _render(monkeypatch, there, spec()).media.frames == 50


@pytest.mark.parametrize(
    ("behave", "says"),
    [
        (Behaviour(fail="人脸检测失败"), "人脸检测失败"),
        (Behaviour(forget=True), "lost the task"),
        (Behaviour(hang=True), "stands still at 20 %"),
        (Behaviour(broken=True), "9999"),
        (Behaviour(locked=10_000), "10003"),
        (Behaviour(no_file=True), "DUIX_DATA_DIR"),
    ],
    ids=["fail", "forget", "hang", "broken", "locked", "no-file"],
)
def test_a_task_that_cannot_end_well_ends_with_a_reason(
    behave: Behaviour,
    says: str,
    spec: MakeSpec,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with container(tmp_path / "data", behave) as there:
        with pytest.raises(EngineFailed, match=says):
            _render(monkeypatch, there, spec())
        left = [name for name in _leftovers(there) if not name.startswith("elsewhere")]
    assert left == []
    assert not (tmp_path / "job" / "out.mp4").exists()


@pytest.mark.parametrize("behave", [None, Behaviour(nonsense=10_000)], ids=["gone", "nonsense"])
def test_a_container_that_does_not_answer_is_worth_a_retry(
    behave: Behaviour | None,
    spec: MakeSpec,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with container(tmp_path / "data", behave) as there:
        if behave is not None:
            with pytest.raises(EngineUnavailable, match="DUIX_INTERNAL_URL") as caught:
                _render(monkeypatch, there, spec())
    if behave is None:  # the port is closed now
        with pytest.raises(EngineUnavailable, match="DUIX_INTERNAL_URL") as caught:
            _render(monkeypatch, there, spec())
    assert caught.value.error_facts().retryable


def test_a_cancelled_job_stops_waiting_at_once(
    spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def on_tick(tick: Tick) -> None:
        if tick.stage == "generate" and tick.done == 20:
            raise Cancelled("stopped on request", stage=Stage.GENERATE)

    with container(tmp_path / "data", Behaviour(hang=True)) as there:
        with pytest.raises(Cancelled):
            _render(monkeypatch, there, spec(), on_tick)
        assert _leftovers(there) == []


def test_a_held_end_is_written_into_the_reference(
    spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    with container(tmp_path / "data") as there:
        render = there._render

        def count(code: str, fields: dict[str, Any]) -> None:
            with av.open(str(there.data / "temp" / fields["video_url"])) as source:
                seen.append(sum(1 for _ in source.decode(video=0)))
            render(code, fields)

        monkeypatch.setattr(there, "_render", count)
        _render(monkeypatch, there, spec(loop=Loop.HOLD))
        _render(monkeypatch, there, spec(loop=Loop.REPEAT))
    assert seen == [50, 25]


def test_it_is_one_of_the_engines() -> None:
    assert "duix" in registry.NAMES
    assert registry.create("duix", "cpu", 1).facts.name == "duix"


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b"null", b"<html>", b'{"code": "x"}', b'{"code": null}', b"\xff"]
)
def test_other_bodies_are_no_answers(body: bytes) -> None:
    with pytest.raises(Unintelligible):
        read_answer(body)


def test_an_answer_without_a_task_is_no_task() -> None:
    with pytest.raises(Unintelligible):
        read_task(read_answer(b'{"code": 10000, "data": {"progress": 5}}'))


def test_the_number_in_msg_is_read() -> None:
    answer = read_answer(b'{"code": 10000, "success": true, "msg": 10000, "data": null}')
    assert (answer.code, answer.msg, answer.data) == (10000, "10000", {})


def test_the_submission_has_all_required_fields() -> None:
    import json

    body = json.loads(submission("c", "a.wav", "v.mp4", RenderOptions()))
    assert {"audio_url", "video_url", "code"} <= set(body)


def test_a_result_whose_encoding_on_a_gpu_fails_midway_is_encoded_once_more(
    spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch)
    monkeypatch.setattr(nvenc, "chosen", lambda _: True)
    unsteady(monkeypatch)(7)
    ticks: list[Tick] = []
    with container(tmp_path / "data") as there:
        report = _render(monkeypatch, there, spec(), ticks.append)
    assert report.media.frames == 50
    assert any("failed midway" in each for each in report.warnings)
    assert [tick.done for tick in ticks if tick.stage == "generate"].count(20) == 1
    assert b"x264" in (tmp_path / "job" / "out.mp4").read_bytes()
