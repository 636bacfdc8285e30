"""What a network paints lies in the frame where the network saw it."""

from __future__ import annotations

from pathlib import Path

from pipeline.engines.musetalk.boxes import points_68
from pipeline.engines.neural.boxes import Box
from pipeline.planes import Window, read_rgb
from tests.pipeline.engines import synthetic
from tests.pipeline.engines.resized import opencv_linear
from tests.pipeline.engines.runs import musetalk, timeline_of
from tests.pipeline.engines.single import crop, face_box, soft_mask, write_rgb


def test_full_weight_takes_the_painted_pixel(tmp_path: Path) -> None:
    """Where the mask is full, the frame shows what the network painted, fitted to the box."""
    engine = musetalk()
    reference = synthetic.reference(tmp_path, frames=1)
    prepared = engine.prepare(reference, lambda tick: None)
    plan = engine.plan(prepared, synthetic.speech(0.1), timeline_of(0.1, 1))
    (before,) = reference.frames([0])
    (after,) = engine.generate(plan, [before], [0])
    box = prepared.boxes[0]
    mask = soft_mask(reference.track.points(0, 1)[0, :, :2], box)
    assert (mask == 255).any()
    shown = read_rgb(after, Window(box.x0, box.y0, box.x1, box.y1), synthetic.COLOR)
    kept = read_rgb(before, Window(box.x0, box.y0, box.x1, box.y1), synthetic.COLOR)
    assert (shown.int() - kept.int()).abs()[:, mask == 255].float().mean() > 5


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
