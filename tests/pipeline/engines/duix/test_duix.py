"""The engine `duix` brings every task to one certain end, whatever the container does."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import av
import pytest

from pipeline.engines import registry
from pipeline.engines.duix.engine import DuixEngine
from pipeline.engines.duix.place import Place
from pipeline.types import Tick
from pipeline.writing import nvenc
from schemas.request import LabelOptions, Loop
from tests.pipeline.engines.duix.calls import QUICK, MakeSpec, leftovers, render
from tests.pipeline.engines.duix.standin import Behaviour, container
from tests.pipeline.writing.breaking import stand_in, unsteady


def test_a_job_is_rendered_by_the_container_and_finished_by_us(
    spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks: list[Tick] = []
    with container(tmp_path / "data") as there:
        report = render(monkeypatch, there, spec(), ticks.append)
        assert leftovers(there) == []
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
        report = render(monkeypatch, there, spec(**options))
        sent = there.submitted[0]
    assert (sent["pn"], sent["chaofen"], sent["watermark_switch"]) == (pn, chaofen, mark)
    assert "/" not in sent["audio_url"] + sent["video_url"]
    assert report.media.frames == 50
    assert report.labels["visible"] is ("label" in options)


def test_another_rate_is_ours_to_make(
    spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with container(tmp_path / "data") as there:
        report = render(monkeypatch, there, spec(fps=50, max_height=64))
    assert (report.media.frames, report.media.fps, report.media.height) == (100, "50/1", 64)


def test_a_busy_container_is_waited_for(
    spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    behave = Behaviour(busy=60, locked=2)
    with container(tmp_path / "data", behave) as there:
        assert render(monkeypatch, there, spec()).media.frames == 50
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
        assert render(monkeypatch, there, spec()).media.frames == 50


def test_a_lost_answer_does_not_lose_the_task(
    spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with container(tmp_path / "data", Behaviour(lose_answer=True)) as there:
        assert render(monkeypatch, there, spec()).media.frames == 50
        assert len(there.submitted) == 1, "not submitted twice"


def test_passing_nonsense_is_borne(
    spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with container(tmp_path / "data", Behaviour(nonsense=3)) as there:
        assert render(monkeypatch, there, spec()).media.frames == 50


def test_a_held_end_is_written_into_the_reference(
    spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    with container(tmp_path / "data") as there:
        rendered = there._render

        def count(code: str, fields: dict[str, Any]) -> None:
            with av.open(str(there.data / "temp" / fields["video_url"])) as source:
                seen.append(sum(1 for _ in source.decode(video=0)))
            rendered(code, fields)

        monkeypatch.setattr(there, "_render", count)
        render(monkeypatch, there, spec(loop=Loop.HOLD))
        render(monkeypatch, there, spec(loop=Loop.REPEAT))
    assert seen == [50, 25]


def test_it_is_one_of_the_engines() -> None:
    assert "duix" in registry.NAMES
    assert registry.create("duix", "cpu", 1).facts.name == "duix"


def test_a_result_whose_encoding_on_a_gpu_fails_midway_is_encoded_once_more(
    spec: MakeSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(monkeypatch)
    monkeypatch.setattr(nvenc, "chosen", lambda _: True)
    unsteady(monkeypatch)(7)
    ticks: list[Tick] = []
    with container(tmp_path / "data") as there:
        report = render(monkeypatch, there, spec(), ticks.append)
    assert report.media.frames == 50
    assert any("failed midway" in each for each in report.warnings)
    assert [tick.done for tick in ticks if tick.stage == "generate"].count(20) == 1
    assert b"x264" in (tmp_path / "job" / "out.mp4").read_bytes()
