"""A folder that shows one evaluation: a page that needs nothing else, and its pictures."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from PIL import Image

from pipeline.evaluate.difference import difference
from pipeline.evaluate.page import Picture, page
from pipeline.evaluate.suite import Evaluation
from pipeline.inspect import spread, strips_of
from pipeline.quality.crops import crops
from pipeline.quality.sheet import BAD, GOOD, PLAIN, Tile, draw

LEGEND = "blue: opening asked for   red: opening seen   (distance of the outer eye corners = 1)"


def write_report(evaluation: Evaluation, folder: Path) -> Path:
    """Write `index.html`, `mouths.png`, `curves.png` and `difference.png`.

    Args:
        folder: made if it is not there; files of these names are replaced.

    Returns:
        The page. The pictures are in it once more, so that it can travel alone.

    Raises:
        OSError: the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pictures: list[Picture] = []
    for name, title, text, image in _images(evaluation):
        data = _png(image)
        (folder / name).write_bytes(data)
        pictures.append(Picture(name, title, text, data, image.width))
    index = folder / "index.html"
    text = page(evaluation.as_json(), pictures)
    index.write_text(text, encoding="utf-8", errors="replace")  # names of files hold any bytes
    return index


def _images(evaluation: Evaluation) -> list[tuple[str, str, str, Image.Image]]:
    """File, title, text and picture."""
    sheet = draw([], _rows(evaluation), [])
    found = [("mouths.png", "Mouths", "Over time; green where the lips touch on p, b, m.", sheet)]
    evidence = evaluation.evidence
    strips = strips_of(evidence.output, evidence.speech, evidence.curve, evidence.asked)
    if strips:
        text = "The opening of the lips as the speech asks for it, and as it is seen in the file."
        found.append(("curves.png", "Asked and seen", text, draw([LEGEND], [], strips)))
    apart = difference(evaluation)
    if apart is not None:
        text = (
            "Reference, output, and where they differ on the mean of all frames: black not at all,"
            " white by 8 grey levels and more. The frame is what a render may change."
        )
        found.append(("difference.png", "What was changed", text, apart))
    return found


def _rows(evaluation: Evaluation) -> list[tuple[str, list[Tile]]]:
    evidence, spoken = evaluation.evidence, evaluation.spoken
    output, fps = evidence.output, evidence.fps
    seen = output.mouths.aperture
    evenly = spread(list(range(output.video.frames)))
    shuts, vowels = spread(spoken.shuts), spread(spoken.vowels)
    middles = [min(int((a + b) / 2 * fps), len(seen) - 1) for a, b in spread(spoken.pauses)]
    wanted = [*evenly, *(s.frame for s in shuts), *(frame for _, frame in vowels), *middles]
    pictures = crops(output, wanted)

    def tile(frame: int, name: str, color: tuple[int, int, int] = PLAIN) -> Tile:
        return Tile(pictures[frame], f"{frame / fps:.2f} s {name} {float(seen[frame]):.3f}", color)

    return [
        ("the output, evenly spread", [tile(n, "") for n in evenly]),
        ("the same frames of the reference", _below(evaluation, evenly)),
        (
            "p b m: green where the lips touch",
            [tile(s.frame, s.phone.name, GOOD if s.closed else BAD) for s in shuts],
        ),
        ("open vowels", [tile(frame, span.name) for span, frame in vowels]),
        ("pauses of more than 200 ms", [tile(n, "") for n in middles]),
    ]


def _below(evaluation: Evaluation, frames: list[int]) -> list[Tile]:
    """The reference's mouths under frames of the output."""
    reference, line = evaluation.evidence.reference, evaluation.evidence.timeline
    if reference is None or line is None:
        return []
    sources = [line.source(n) for n in frames]
    pictures = crops(reference, sources)
    fps, seen = float(reference.video.fps), reference.mouths.aperture
    return [
        Tile(
            pictures[n],
            f"{n / fps:.2f} s {float(seen[n]):.3f}" if n < len(seen) else f"{n / fps:.2f} s",
        )
        for n in sources
    ]


def _png(image: Image.Image) -> bytes:
    out = BytesIO()
    image.save(out, format="PNG", optimize=True)
    return out.getvalue()
