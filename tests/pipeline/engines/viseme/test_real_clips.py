"""Real faces: what was asked of the mouth is what the mesh finds again in the picture."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pipeline.engines.base import Reference
from pipeline.engines.viseme.engine import VisemeEngine
from pipeline.engines.viseme.plan import choose_lenders
from pipeline.errors import WeightsMissing
from pipeline.faces.mesh import MeshNetwork
from pipeline.faces.roi import region_of_points
from pipeline.faces.topology import LIP_GAPS
from pipeline.reading.audio import load_speech
from pipeline.reading.decode import FrameReader
from pipeline.reading.probe import probe_video
from pipeline.timeline import Timeline
from pipeline.types import Frame, Limits
from pipeline.weights import load_faces
from schemas.request import RenderOptions
from tests.support.tracking import tracked

MEDIA = Path(__file__).resolve().parents[5] / "shared" / "media"
pytestmark = [pytest.mark.media, pytest.mark.slow]
SECONDS = Fraction(2)


def _reference(name: str, scratch: Path, frames: int) -> Reference:
    found = sorted(MEDIA.glob(f"{name}*"))
    if not found:
        pytest.skip(f"{MEDIA}/{name}* is not here")
    try:
        load_faces()
    except WeightsMissing as missing:
        pytest.skip(str(missing))
    video = probe_video(found[0], Limits(), RenderOptions())
    reader = FrameReader(video, 1)
    total = min(frames, video.frames)
    track = tracked(reader.read(range(total)), video, total, scratch)
    return Reference(replace(video, frames=total), track, reader.read, None, scratch, "cpu")


def _apertures(frames: list[Frame], points: Tensor, reference: Reference) -> Tensor:
    """(F,) io, measured in the pictures by the mesh network."""
    network = MeshNetwork(load_faces().mesh)
    found = []
    for start in range(0, len(frames), 8):
        part = slice(start, start + 8)
        regions = region_of_points(points[part])
        found.append(network(frames[part], regions, reference.video.color).points)
    mesh = torch.cat(found)
    io = (mesh[:, 33, :2] - mesh[:, 263, :2]).norm(dim=1)
    gaps = [(mesh[:, a, :2] - mesh[:, b, :2]).norm(dim=1) for a, b in LIP_GAPS]
    apertures: Tensor = torch.stack(gaps).mean(0) / io
    return apertures


@pytest.mark.parametrize(
    ("clip", "mode"),
    [("v10", "unit"), ("v21", "warp+synth"), ("v14", "warp+bank")],
)
def test_mesh_finds_the_planned_mouth(clip: str, mode: str, tmp_path: Path) -> None:
    speech_file = sorted(MEDIA.glob("a13*"))
    reference = _reference(clip, tmp_path, 100)
    speech = load_speech(speech_file[0], Limits())
    engine = VisemeEngine("cpu", [])
    avatar = engine.prepare(reference, lambda tick: None)
    assert avatar.mode == mode
    timeline = Timeline.fit(SECONDS, reference.video.fps, reference.video.frames)
    plan = engine.plan(avatar, speech, timeline)
    # Whatever is said: two shut frames, then an opening, so that both ends are measured.
    beat = torch.arange(timeline.frames) % 8
    wanted = torch.where(beat < 2, 0.0, 0.11 * torch.sin(torch.pi * (beat - 1) / 7).abs())
    plan.path = replace(plan.path, aperture=wanted)
    choose_lenders(plan)
    sources = [timeline.source(n) for n in range(timeline.frames)]
    frames = list(reference.frames(sources))
    made: list[Frame] = []
    for start in range(0, len(frames), 8):
        outputs = range(start, min(start + 8, len(frames)))
        made += engine.generate(plan, frames[start : start + 8], outputs)
    points = torch.cat([reference.track.points(n, n + 1) for n in sources])
    found = _apertures(made, points, reference)
    together = torch.corrcoef(torch.stack([found, wanted]))[0, 1]
    assert together > 0.93
    if float(avatar.canvas.io) >= 80:
        assert found[beat < 2].max() < 0.02
    assert engine.finish(plan).quality["painted_frames"] == len(frames)
