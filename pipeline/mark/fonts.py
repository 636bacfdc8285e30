"""Fonts that have every character of a label: a box in place of a letter labels nothing.

Pillow carries one for Latin text, which comes first, so that such labels are the same on every
machine. Other scripts take a font of the system, by the file names that distributions give them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from PIL import ImageFont, features

from pipeline.errors import LabelUnfit
from schemas.codes import Stage
from schemas.request import LabelOptions

Font = ImageFont.FreeTypeFont

_NOTO_SCRIPTS = (
    *("Arabic", "Hebrew", "Thai", "Lao", "Khmer", "Myanmar", "Georgian", "Armenian", "Ethiopic"),
    *("Devanagari", "Bengali", "Gurmukhi", "Gujarati", "Tamil", "Telugu", "Kannada", "Malayalam"),
    "Sinhala",
)
SYSTEM_FONTS = (
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "NotoSansCJK-Regular.ttc",
    "DroidSansFallbackFull.ttf",
    "wqy-microhei.ttc",
    "NanumGothic.ttf",
    *(f"NotoSans{script}-Regular.ttf" for script in _NOTO_SCRIPTS),
)
_NOBODY_HAS = "\U0010ffff"
_NO_GLYPH = frozenset({"Cc", "Cf", "Mc", "Me", "Mn", "Zl", "Zp", "Zs"})
"""Categories whose characters show nothing, or only together with their neighbours."""
_MARKS = frozenset({"Mc", "Me", "Mn"})
_UNSEEN = re.compile("[\u034f\u180b-\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]")
"""Marks that only choose how their neighbour looks, beside the characters of category Cf."""
_BREAKS = re.compile(r"[\t-\r\x85\u2028\u2029]+")
_LEFTWARDS = frozenset({"R", "AL"})
"""Bidirectional classes of letters that are read from right to left (Unicode annex 9)."""
_JOINED = ((0x0900, 0x109F), (0x1780, 0x17FF))
"""From Devanagari to Myanmar, and Khmer: letters change their places and shapes in a word."""


def check_label(label: LabelOptions | None) -> None:
    """Refuse a label that could not be drawn, before anything is computed.

    Raises:
        LabelUnfit: no font of this machine has one of its characters, or it shows nothing.
    """
    if label is not None and label.visible:
        typeset(label.text, 16)


def typeset(text: str, size: int) -> list[tuple[str, Font]]:
    """The text with the first font that has all that is seen of it, else cut where fonts change.

    It is cut as soon as all letters are found, or a Korean font would write Chinese. The pieces
    stand from left to right as they are drawn.

    Raises:
        LabelUnfit: no font has one of its characters, or nothing is seen of it, or it cannot be
            laid out here.
    """
    text = _one_line(text)
    letters = [c for c in dict.fromkeys(text) if unicodedata.category(c) not in _NO_GLYPH]
    if not letters:
        raise LabelUnfit(
            f"label text {text!r} shows nothing; give it a letter", stage=Stage.PROBE, text=text
        )
    if not features.check("raqm") and any(_is_laid_out(c) for c in letters):
        raise LabelUnfit(
            f"the letters of label text {text!r} join, or run from right to left, which takes a "
            "library that this machine lacks; change the text, or let the operator install FriBidi "
            "(Debian's libfribidi0)",
            stage=Stage.PROBE,
            text=text,
        )
    marks = [c for c in dict.fromkeys(text) if unicodedata.category(c) in _MARKS]
    marks = [c for c in marks if not _is_unseen(c)]
    homes: dict[str, Font] = {}
    for font in _fonts(size):
        missing = _missing(font, letters)
        if not missing and not _missing(font, marks):
            return [(_seen(text, font), font)]
        homes = {c: font for c in letters if c not in missing} | homes
        if len(homes) == len(letters) and not marks:
            break
    nowhere = [c for c in letters if c not in homes]
    if nowhere:
        raise LabelUnfit(
            f"no font of this machine has {' '.join(nowhere)} of label text {text!r}; change the "
            "text, or let the operator install one, such as Debian's fonts-noto-cjk",
            stage=Stage.PROBE,
            text=text,
            missing=nowhere,
        )
    runs = [(_seen(run, font), font) for run, font in _runs(text, homes)]
    return runs[::-1] if unicodedata.bidirectional(letters[0]) in _LEFTWARDS else runs


def _one_line(text: str) -> str:
    """The text with spaces for breaks and tabs, and without what else controls a terminal.

    A font draws one line: what stands behind a break would be left out.
    """
    spaced = _BREAKS.sub(" ", text)
    return "".join(c for c in spaced if unicodedata.category(c) != "Cc")


def _is_unseen(letter: str) -> bool:
    """Whether a character shows nothing of its own, such as one that joins or turns others."""
    return unicodedata.category(letter) == "Cf" or _UNSEEN.match(letter) is not None


def _seen(text: str, font: Font) -> str:
    """The text without unseen characters that the font lacks: it would draw a box for each."""
    unseen = [c for c in dict.fromkeys(text) if _is_unseen(c)]
    boxes = set(_missing(font, unseen)) if unseen else set()
    return "".join(c for c in text if c not in boxes)


def _is_laid_out(letter: str) -> bool:
    """True where drawing one letter after the other writes no words."""
    return unicodedata.bidirectional(letter) in _LEFTWARDS or any(
        first <= ord(letter) <= last for first, last in _JOINED
    )


def resized(line: list[tuple[str, Font]], size: int) -> list[tuple[str, Font]]:
    """What was typeset, in the same fonts of another size: none is looked for again."""
    return [(text, font.font_variant(size=size)) for text, font in line]


def _runs(text: str, homes: dict[str, Font]) -> list[tuple[str, Font]]:
    runs: list[tuple[str, Font]] = []
    current = next(homes[c] for c in text if c in homes)
    for letter in text:
        font = homes.get(letter, current)
        if runs and font is current:
            letter = runs.pop()[0] + letter
        runs.append((letter, font))
        current = font
    return runs


def _fonts(size: int) -> Iterator[Font]:
    own = ImageFont.load_default(size)
    if isinstance(own, ImageFont.FreeTypeFont):  # else Pillow was built without FreeType
        yield own
    for name in SYSTEM_FONTS:
        try:
            yield ImageFont.truetype(name, size)
        except OSError:
            continue  # not on this machine


def _missing(font: Font, letters: list[str]) -> list[str]:
    """Letters that look like one that no font has, or like nothing."""
    nobody = _look(font, _NOBODY_HAS)
    return [c for c in letters if (look := _look(font, c)) == nobody or not any(look[1])]


def _look(font: Font, letter: str) -> tuple[tuple[int, int], bytes]:
    mask = font.getmask(letter)
    return mask.size, bytes(mask)
