"""Engines with networks paint on what phones and camcorders deliver, through the whole render.

Networks are shrunken and have the rule's weights; everything around them is real.
"""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pipeline.engines import registry
from pipeline.render import render
from pipeline.types import RenderSpec
from schemas.request import RenderOptions
from tests.pipeline.engines.runs import musetalk, wav2lip
from tests.support import interlaced
from tests.support.heif import write_tiled
from tests.support.interlaced import Woven, write_woven
from tests.support.media import Tone, write_sound
from tests.support.profiles import make_profile

DEMO = Path(__file__).parents[3] / "consumer/demo_assets/reference.mp4"
Make = Callable[[], Any]
P3 = ((0.5151, 0.2412, -0.0011), (0.2920, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841))


@pytest.fixture(scope="module")
def pictures() -> list[NDArray[np.uint8]]:
    with av.open(str(DEMO)) as container:
        frames = container.decode(video=0)
        return [_rgb(next(frames)) for _ in range(20)]


def _rgb(frame: av.VideoFrame) -> NDArray[np.uint8]:
    return np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)


def _heic(path: Path, pictures: list[NDArray[np.uint8]]) -> Path:
    return write_tiled(path, np.ascontiguousarray(np.rot90(pictures[0], 3)), 128, 1)


def _wide_gamut(path: Path, pictures: list[NDArray[np.uint8]]) -> Path:
    file = BytesIO()
    Image.fromarray(pictures[0]).save(file, "jpeg", icc_profile=make_profile(P3))
    path.write_bytes(file.getvalue())
    return path


def _large(path: Path, pictures: list[NDArray[np.uint8]]) -> Path:
    Image.fromarray(pictures[0]).resize((6400, 6400)).save(path, quality=80)
    return path


REFERENCES: dict[str, Callable[[Path, list[NDArray[np.uint8]]], Path]] = {
    "tiles.heic": _heic,
    "wide.jpg": _wide_gamut,
    "large.jpg": _large,
}


def _rendered(make: Make, video: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(registry, "create", lambda *_: make())
    speech = write_sound(folder / "speech.wav", Tone(0.4, codec="pcm_s16le"))
    spec = RenderSpec(
        audio=speech,
        video=video,
        output=folder / "out.mp4",
        scratch=folder,
        engine="wav2lip",
        options=RenderOptions(max_height=480),
    )
    return render(spec, lambda _: None)


@pytest.mark.parametrize(
    ("name", "make"), [*((name, wav2lip) for name in REFERENCES), ("tiles.heic", musetalk)]
)
def test_photographs_of_phones_are_painted_and_stay_as_they_are_elsewhere(
    name: str,
    make: Make,
    pictures: list[NDArray[np.uint8]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    video = REFERENCES[name](tmp_path / name, pictures)
    report = _rendered(make, video, tmp_path, monkeypatch)
    assert report.quality["painted_frames"] == 10
    with av.open(str(tmp_path / "out.mp4")) as container:
        shown = _rgb(next(container.decode(video=0))).astype(int)
    want = np.asarray(Image.fromarray(pictures[0]).resize(shown.shape[1::-1])).astype(int)
    top = len(shown) // 3
    assert np.abs(shown[:top] - want[:top]).mean() < 6  # hair and brow, upright


def test_interlaced_film_is_painted_whole(
    pictures: list[NDArray[np.uint8]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interlaced, "scene", lambda _, __, moment: pictures[moment % 20])
    height, width = pictures[0].shape[:2]
    film = Woven(10, width, height, options={"crf": "12"})
    video = write_woven(tmp_path / "film.mp4", film)
    report = _rendered(wav2lip, video, tmp_path, monkeypatch)
    assert report.quality["painted_frames"] == 10
