"""The page of a report: whole, safe, and readable on a phone."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from pipeline.evaluate.catalogue import GROUPS, KINDS
from pipeline.evaluate.page import page
from pipeline.evaluate.report import write_report
from pipeline.evaluate.suite import Evaluation
from tests.support.chromium import PATH, chromium

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def index(untouched: Evaluation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(untouched, tmp_path_factory.mktemp("report") / "new" / "folder")


def test_every_kind_stands_under_exactly_one_heading() -> None:
    listed = [name for names in GROUPS.values() for name in names]
    assert sorted(listed) == sorted(kind.name for kind in KINDS)


def test_page_and_pictures_are_written_and_the_page_needs_nothing_else(
    index: Path, untouched: Evaluation
) -> None:
    names = {path.name for path in index.parent.iterdir()}
    assert names == {"index.html", "mouths.png", "curves.png", "difference.png"}
    for name in names - {"index.html"}:
        with Image.open(index.parent / name) as image:
            assert image.format == "PNG"
            assert image.width > 600
    text = index.read_text(encoding="utf-8")
    assert text.count("data:image/png;base64,") == 3
    assert not re.findall(r"(?:src|href)=['\"](?!data:)", text)
    assert "<script" not in text
    told = untouched.as_json()
    for name in (*told["measures"], *told["left_out"]):
        assert f"{name}" in text


def test_names_of_files_cannot_become_markup(untouched: Evaluation) -> None:
    sources = replace(untouched.evidence.sources, output=Path("<img src=x onerror=1>.mp4"))
    evil = replace(untouched, evidence=replace(untouched.evidence, sources=sources))
    text = page(evil.as_json(), [])
    assert "<img" not in text
    assert "&lt;img src=x" in text


def test_names_of_any_bytes_do_not_keep_a_report_from_being_written(
    untouched: Evaluation, tmp_path: Path
) -> None:
    sources = replace(untouched.evidence.sources, output=Path(os.fsdecode(b"no\xff.mp4")))
    odd = replace(untouched, evidence=replace(untouched.evidence, sources=sources))
    assert "no?.mp4" in write_report(odd, tmp_path / "report").read_text(encoding="utf-8")


@pytest.mark.skipif(PATH is None, reason="needs chromium (Debian: apt install chromium)")
async def test_a_phone_shows_the_page_without_scrolling_sideways(
    index: Path, tmp_path: Path
) -> None:
    async with chromium(tmp_path / "profile") as tab:
        await tab.size(390, 844, phone=True)
        await tab.go(index.as_uri())
        assert await tab.eval("document.documentElement.scrollWidth") <= 390
        assert await tab.eval("[...document.images].every(i => i.complete && i.naturalWidth > 0)")
        assert tab.complaints == []
