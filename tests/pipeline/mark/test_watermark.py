"""The watermark: unseen by figures, read back after encoding anew, scaling and cropping."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from av.video.stream import VideoStream

from pipeline.errors import EngineUnavailable
from pipeline.evaluate.pixels import psnr
from pipeline.mark.applying import load_libraries, seal
from pipeline.mark.lattice import block_side
from pipeline.mark.payload import job_digest
from pipeline.mark.reading import read_labels
from pipeline.mark.seeking import Reading, read_watermark
from pipeline.mark.watermark import Watermark
from pipeline.mark.words import container_metadata
from pipeline.types import Frame, Marks, RenderSpec
from tests.pipeline.mark.clips import ENGINE, JOB
from tests.pipeline.mark.films import HEIGHT, WIDTH, chroma, film, marked, read, scene, write
from tests.pipeline.writing.calls import encode, speech

FRAMES = 40
DIGEST = job_digest(JOB)


@pytest.fixture(scope="module")
def plain() -> list[Frame]:
    return film(FRAMES)


@pytest.fixture(scope="module")
def made(plain: list[Frame]) -> list[Frame]:
    return marked(plain, JOB)


@pytest.fixture(scope="module")
def output(made: list[Frame], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As a render writes it."""
    path = tmp_path_factory.mktemp("watermark") / "out.mp4"
    return write(path, made, 18, preset="veryfast")


def _db(one: torch.Tensor, two: torch.Tensor) -> float:
    return psnr(float((one.double() - two.double()).square().mean()))


def test_small_marked_picture_keeps_its_luma_and_at_least_47_db_of_its_chroma(
    plain: list[Frame], made: list[Frame]
) -> None:
    for before, after in zip(plain, made, strict=True):
        assert after.y is before.y
        for one, two in ((before.u, after.u), (before.v, after.v)):
            assert 47 < _db(one, two) < 60
            assert int((one.int() - two.int()).abs().max()) <= 2


def test_the_frame_that_is_marked_stays_as_it_was() -> None:
    frame = scene(0)
    Watermark(JOB, WIDTH, HEIGHT).apply(frame)
    assert torch.equal(frame.u, scene(0).u)


def test_mark_stands_still_where_the_picture_does(plain: list[Frame]) -> None:
    """What changed with every picture would flicker, and an encoder would drop it."""
    mark = Watermark(JOB, WIDTH, HEIGHT)
    changes = [mark.apply(plain[0]).u.int() - plain[0].u.int() for _ in range(FRAMES)]
    assert all(torch.equal(change, changes[0]) for change in changes)
    assert bool(changes[0].any())


def test_mark_follows_a_picture_that_changes_its_colours(plain: list[Frame]) -> None:
    other = film(30, seed=8)
    frames = marked(plain[:25] + other, JOB)
    assert read_watermark(chroma(frames, skip=50)) == Reading(DIGEST, None)


def _without_colour(frames: list[Frame]) -> list[Frame]:
    even = torch.full_like(frames[0].u, 128)
    return [Frame(frame.y, even, even.clone(), frame.index) for frame in frames]


def test_a_film_without_colour_keeps_its_white_on_the_mean() -> None:
    frames = marked(_without_colour(film(2)), JOB)
    for plane in (frames[-1].u, frames[-1].v):
        assert abs(float(plane.double().mean()) - 128) < 0.1
        assert int((plane.int() - 128).abs().max()) == 1


@pytest.mark.parametrize(
    "way", [{}, {"size": (WIDTH // 2, HEIGHT // 2)}, {"crop": (26, 14, 26, 14)}]
)
def test_a_film_without_colour_names_its_job_after_crf_28_and(
    way: dict[str, object], tmp_path: Path
) -> None:
    frames = marked(_without_colour(film(FRAMES)), JOB)
    output = write(tmp_path / "out.mp4", frames, 18, preset="veryfast")
    again = write(tmp_path / "again.mp4", read(output), 28, **way)  # type: ignore[arg-type]
    assert read_watermark(chroma(read(again)), ["another", JOB]) == Reading(DIGEST, JOB)


def test_colours_that_come_later_do_not_hide_the_mark() -> None:
    frames = marked(_without_colour(film(1)) + film(60), JOB)
    assert read_watermark(chroma([frames[0], *frames[30:]])) == Reading(DIGEST, None)


WAYS: dict[str, dict[str, object]] = {
    "crf 28": {},
    "half size": {"size": (WIDTH // 2, HEIGHT // 2)},
    "two thirds": {"size": (342, 192)},
    "half as large again": {"size": (WIDTH * 3 // 2, HEIGHT * 3 // 2)},
    "5 % off each edge": {"crop": (26, 14, 26, 14)},
    "10 % off the left": {"crop": (52, 0, 0, 0)},
    "10 % off the top": {"crop": (0, 28, 0, 0)},
}


@pytest.mark.parametrize("way", WAYS)
def test_job_is_named_after_encoding_anew_at_crf_28_and(
    way: str, output: Path, tmp_path: Path
) -> None:
    again = write(tmp_path / "again.mp4", read(output), 28, **WAYS[way])  # type: ignore[arg-type]
    labels = read_labels(again, None, ["another", JOB])
    assert (labels["found"], labels["job_id"]) == (True, JOB)
    assert labels["layers"]["watermark"] == {"status": "found", "digest": DIGEST, "job_id": JOB}
    assert labels["layers"]["container"]["status"] == labels["layers"]["c2pa"]["status"] == "absent"


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [
        ("again.mkv", "ffv1", "bgr0"),
        ("again.mp4", "libx264rgb", "rgb24"),
        ("again.avi", "mjpeg", "yuvj420p"),
        ("picture.png", "png", "rgb24"),
    ],
)
def test_job_is_named_in_rgb_and_jpeg_which_have_another_range_of_levels(
    name: str, codec: str, pixels: str, output: Path, tmp_path: Path
) -> None:
    path = tmp_path / name
    with av.open(str(output)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream(codec, rate=25)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, pixels
        if codec == "mjpeg":
            stream.codec_context.qmin = stream.codec_context.qmax = 2
        for frame in source.decode(video=0):
            target.mux(stream.encode(frame.reformat(format=pixels)))
            if codec == "png":
                break
        target.mux(stream.encode(None))
    assert read_labels(path, None, ["another", JOB])["job_id"] == JOB


@pytest.mark.parametrize("job", [JOB, "job-a", "job-b", "job-c"])
def test_a_second_of_film_at_half_size_still_names_its_job(job: str, tmp_path: Path) -> None:
    """A block is but one block of the encoder's there, and each of its bits is hard to read."""
    first = write(tmp_path / "out.mp4", marked(film(30, seed=35), job), 18, preset="veryfast")
    again = write(tmp_path / "again.mp4", read(first), 28, size=(WIDTH // 2, HEIGHT // 2))
    known = [f"job-{n}" for n in range(1000)]
    assert read_watermark(chroma(read(again)), [*known, job]) == Reading(job_digest(job), job)
    assert read_watermark(chroma(read(again)), known) is None


def test_job_is_named_where_the_picture_changes_its_size(output: Path, tmp_path: Path) -> None:
    """As calls and adaptive streams are recorded."""
    frames = read(output)
    half = len(frames) // 2
    whole = write(tmp_path / "whole.ts", frames[:half], 18).read_bytes()
    small = write(tmp_path / "small.ts", frames[half:], 18, size=(WIDTH // 2, HEIGHT // 2))
    path = tmp_path / "call.ts"
    path.write_bytes(whole + small.read_bytes())
    assert read_labels(path, None, [JOB])["job_id"] == JOB


def test_job_is_named_where_the_beginning_was_cut_off(output: Path) -> None:
    assert read_watermark(chroma(read(output), skip=17), [JOB]) == Reading(DIGEST, JOB)


@pytest.mark.parametrize(("said", "status"), [("job-of-another", "broken"), (JOB, "found")])
def test_text_that_names_another_job_than_the_picture_is_broken(
    said: str, status: str, output: Path, tmp_path: Path
) -> None:
    path = tmp_path / "said.mp4"
    with av.open(str(output)) as source, av.open(str(path), "w") as sink:
        stream = sink.add_stream_from_template(source.streams.video[0])
        sink.metadata["comment"] = container_metadata(said, "viseme", "1")["comment"]
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                sink.mux(packet)
    labels = read_labels(path, None, [JOB])
    assert labels["layers"]["container"]["status"] == status
    assert labels["job_id"] == JOB


def test_where_nobody_knows_the_job_the_digest_is_told(output: Path) -> None:
    labels = read_labels(output, None, ["another"])
    assert labels["layers"]["watermark"] == {"status": "found", "digest": DIGEST}
    assert (labels["found"], labels["job_id"]) == (True, None)


def test_a_known_job_is_named_where_too_many_bits_are_wrong_for_the_code(made: list[Frame]) -> None:
    rng = np.random.default_rng(3)
    side, frames = block_side(WIDTH, HEIGHT), made[:24]
    hurt = [frame.u.int() for frame in frames]
    for row in range(HEIGHT // 2 // side):
        for column in range(WIDTH // 2 // side):
            if rng.random() < 0.35:
                for plane in hurt:
                    block = plane[
                        row * side : (row + 1) * side, column * side : (column + 1) * side
                    ]
                    block += 3 if rng.random() < 0.5 else -2
    pictures = [
        (u.clamp(0, 255).to(torch.uint8).numpy(), f.v.numpy() // 8 * 8)
        for u, f in zip(hurt, frames, strict=True)
    ]
    assert read_watermark(iter(pictures)) is None
    assert read_watermark(iter(pictures), ["another", JOB]) == Reading(DIGEST, JOB)


def _noise(seed: int) -> list[Frame]:
    rng = np.random.default_rng(seed)
    planes = [rng.integers(0, 256, (144, 256), np.uint8) for _ in range(2)]
    y = torch.zeros((288, 512), dtype=torch.uint8)
    return [Frame(y, torch.from_numpy(planes[0]), torch.from_numpy(planes[1]), 0)]


def _even(level: int) -> list[Frame]:
    half = torch.full((144, 256), level, dtype=torch.uint8)
    return [Frame(torch.zeros((288, 512), dtype=torch.uint8), half, half, 0)]


@pytest.mark.parametrize("kind", ["scenes", "noise", "even", "without colour"])
def test_nothing_is_found_in_pictures_of_others(kind: str) -> None:
    make: dict[str, Callable[[int], list[Frame]]] = {
        "scenes": lambda n: [scene(0, seed=n)],
        "noise": _noise,
        "even": lambda n: _even(120 + n),
        "without colour": lambda n: _without_colour([scene(0, seed=n)]),
    }
    known = [f"job-{n}" for n in range(200)]
    for seed in range(4):
        assert read_watermark(chroma(make[kind](seed)), known) is None


@pytest.mark.parametrize("size", [(2, 2), (18, 400), (64, 64)])
def test_pictures_too_small_for_a_mark_do_not_fail(size: tuple[int, int]) -> None:
    height, width = size
    frame = scene(0, width=width, height=height)
    made = Watermark(JOB, width, height).apply(frame)
    assert made.u.shape == frame.u.shape
    assert read_watermark(chroma([made])) is None


def test_report_says_what_the_picture_carries_or_that_it_is_off(tmp_path: Path) -> None:
    audio = speech(tmp_path, 0.4)
    path = encode(tmp_path / "out.mp4", audio, 10)
    for on in (True, False):
        marks = Marks(watermark=on)
        spec = RenderSpec(audio.path, audio.path, path, tmp_path, job_id=JOB, marks=marks)
        assert seal(spec, ENGINE)["watermark"] == ({"digest": DIGEST} if on else "off")


def test_a_worker_that_lacks_the_library_starts_and_a_job_that_wants_the_mark_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "imwatermark.dwtDctSvd", None)
    load_libraries()
    with pytest.raises(EngineUnavailable, match="F2F_LABEL_WATERMARK=0"):
        Watermark(JOB, WIDTH, HEIGHT)


def test_no_job_waits_for_the_library() -> None:
    program = "import sys; from pipeline.mark.applying import load_libraries; load_libraries();"
    program += "print(sorted({'cv2', 'imwatermark'} & set(sys.modules)))"
    said = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    assert said.stdout.strip() == b"['cv2', 'imwatermark']"
