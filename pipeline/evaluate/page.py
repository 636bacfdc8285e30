"""The page of a report: one file, no script, nothing from elsewhere; readable on a phone."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from pipeline.evaluate.catalogue import GROUPS

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --good: #1a7f37; --bad: #c62828; --soft: #777; }
@media (prefers-color-scheme: dark) { :root { --good: #56d364; --bad: #ff7b72; --soft: #999; } }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 1100px; margin: 0 auto;
  padding: 1.2rem; }
h1 { font-size: 1.4rem; margin: 0 0 .3rem; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 2rem 0 .4rem; }
p, ul { margin: .3rem 0; }
.soft { color: var(--soft); }
.verdict { display: flex; gap: .5rem 1.5rem; flex-wrap: wrap; margin: .8rem 0; }
.verdict b { font-size: 1.3rem; }
.good { color: var(--good); } .bad { color: var(--bad); }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem .35rem 0;
  border-bottom: 1px solid var(--line); }
th { font-weight: 600; }
td.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
code { font-size: .9em; overflow-wrap: anywhere; }
.wide { overflow-x: auto; border: 1px solid var(--line); background: #fff; }
.wide img { display: block; width: 100%; min-width: 760px; height: auto; }
@media (max-width: 700px) {
  thead { display: none; }
  table, tbody { display: block; }
  tr { display: grid; grid-template-columns: 1fr auto; gap: 0 1rem; padding: .4rem 0;
    border-bottom: 1px solid var(--line); }
  td { border: 0; padding: 0; }
  td.what { grid-column: 1 / -1; }
}
"""
_ARROWS = {"higher": "higher is better", "lower": "lower is better", "near 0": "0 is best"}


@dataclass(frozen=True, slots=True)
class Picture:
    """A PNG of the page."""

    name: str
    title: str
    text: str
    data: bytes
    width: int
    """Pixels."""


def page(result: dict[str, Any], pictures: list[Picture]) -> str:
    """The whole page."""
    name = escape(Path(result["files"]["output"]).name)
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>",
        "<meta name='viewport' content='width=device-width, initial-scale=1'>",
        f"<title>{name}: Face2Face evaluation</title><style>{_STYLE}</style></head><body>",
        f"<h1>{name}</h1>",
        _facts(result),
        _verdict(result["measures"]),
        *(_picture(picture) for picture in pictures),
        *(_table(title, names, result["measures"]) for title, names in GROUPS.items()),
        _labels(result["labels"]),
        _left_out(result["left_out"]),
        "</body></html>",
    ]
    return "\n".join(part for part in parts if part)


def _facts(result: dict[str, Any]) -> str:
    video, files = result["video"], result["files"]
    made = [
        f"{role} <code>{escape(Path(path).name)}</code>"
        for role, path in files.items()
        if role != "output"
    ]
    size = (
        f"{video['width']} × {video['height']}, {video['frames']} frames at {video['fps']},"
        f" {video['seconds']:g} s; the face is seen in {video['face_frames']} frames, with"
        f" {video['io_px']:g} pixels between the outer eye corners."
    )
    return f"<p class='soft'>{size}<br>{'; '.join(made)}</p>"


def _verdict(measures: dict[str, Any]) -> str:
    judged = {name: m for name, m in measures.items() if m["met"] is not None}
    failed = [name for name, m in judged.items() if not m["met"]]
    good = f"<span class='good'><b>{len(judged) - len(failed)}</b> bars met</span>"
    if not failed:
        return f"<div class='verdict'>{good}</div>"
    names = ", ".join(f"<code>{escape(name)}</code>" for name in failed)
    bad = f"<span class='bad'><b>{len(failed)}</b> not met: {names}</span>"
    return f"<div class='verdict'>{good}{bad}</div>"


def _picture(picture: Picture) -> str:
    data = base64.b64encode(picture.data).decode("ascii")
    text = escape(picture.text)
    return (
        f"<h2>{escape(picture.title)}</h2><p class='soft'>{text}</p><div class='wide' tabindex='0'>"
        f"<img alt='{text}' style='max-width:{picture.width}px'"
        f" src='data:image/png;base64,{data}'></div>"
    )


def _table(title: str, names: tuple[str, ...], measures: dict[str, Any]) -> str:
    rows = [_row(name, measures[name]) for name in names if name in measures]
    if not rows:
        return ""
    head = "<thead><tr><th>what</th><th>value</th><th>bar</th></tr></thead>"
    return f"<h2>{escape(title)}</h2><table>{head}<tbody>{''.join(rows)}</tbody></table>"


def _row(name: str, measure: dict[str, Any]) -> str:
    unit = "" if measure["unit"] == "1" else f" {escape(measure['unit'])}"
    better = _ARROWS.get(measure["better"], "")
    bar, style = "", ""
    if measure["met"] is not None:
        style = "good" if measure["met"] else "bad"
        bar = f"{measure['bar']:g}: {'met' if measure['met'] else 'not met'}"
    return (
        f"<tr><td class='what'>{escape(measure['what'])}<br><span class='soft'>"
        f"<code>{escape(name)}</code> · {escape(better + '; ' if better else '')}"
        f"{escape(measure['source'])}</span></td>"
        f"<td class='number'>{measure['value']:g}{unit}</td>"
        f"<td class='number {style}'>{bar}</td></tr>"
    )


def _labels(labels: dict[str, Any]) -> str:
    layers = "".join(
        f"<li>{escape(name)}: {escape(layer['status'])}</li>"
        for name, layer in labels["layers"].items()
    )
    job = f" Job <code>{escape(labels['job_id'])}</code>." if labels["job_id"] else ""
    said = "Labels of Face2Face are in the file." if labels["found"] else "None was found."
    return f"<h2>Labels</h2><p>{said}{job}</p><ul>{layers}</ul>"


def _left_out(reasons: dict[str, str]) -> str:
    if not reasons:
        return ""
    by_reason: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        by_reason.setdefault(reason, []).append(name)
    items = "".join(
        f"<li>{escape(reason)}: <code>{escape(', '.join(names))}</code></li>"
        for reason, names in by_reason.items()
    )
    return f"<h2>Not measured</h2><ul class='soft'>{items}</ul>"
