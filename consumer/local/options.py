"""Command-line options of a render, shared by `render` and `submit`, made into a contract."""

from __future__ import annotations

from collections.abc import Callable
from math import isfinite
from typing import Any, TypeVar

import click
from pydantic import ValidationError

from consumer.json_findings import reason
from consumer.local.console import CommandError
from schemas.request import Loop, RenderOptions

F = TypeVar("F", bound=Callable[..., Any])
_SHOWN = 120
"""Characters of a wrong value that an error repeats."""

JSON_FLAG = click.option("--json", "as_json", is_flag=True, help="results as JSON on stdout")


class Seconds(click.FloatRange):
    """A patience of at least a second: a number that ends, which `nan` and `inf` do not."""

    def __init__(self) -> None:
        super().__init__(min=1)

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Seconds."""
        seconds: float = super().convert(value, param, ctx)
        if not isfinite(seconds):
            self.fail(f"{value} is no number of seconds; give one from 1 on.", param, ctx)
        return seconds


_OPTIONS = (
    click.option("--engine", default=None, help="engine by name (face2face engines) [F2F_ENGINE]"),
    click.option(
        "--loop", type=click.Choice([v.value for v in Loop]), default=None,
        help="when the speech is longer than the reference [pingpong]",
    ),
    click.option(
        "--face", default=None,
        help="'largest', or the face nearest to a box x0,y0,x1,y1 of reference pixels [largest]",
    ),
    click.option("--fps", default=None, help="such as 25 or 30000/1001 [the reference's]"),
    click.option("--crf", type=int, default=None, help="x264, 0 to 40, lower is better [18]"),
    click.option("--max-height", type=int, default=None, help="scale down to it, px [as it is]"),
    click.option("--label", default=None, help="a visible text, such as 'AI' [none]"),
    click.option(
        "--label-position", default=None,
        help="top-left, top-right, bottom-left or bottom-right [bottom-right]",
    ),
    click.option("--transcript", default=None, help="what is said; helps English a little"),
)  # fmt: skip


def render_options(command: F) -> F:
    """Decorate a command with all options of a render."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def build_options(given: dict[str, Any]) -> RenderOptions:
    """The contract of what was given; what was not named keeps its default.

    Raises:
        CommandError: a value that cannot work, named with its option.
    """
    values = {
        name: given[name]
        for name in ("loop", "fps", "crf", "max_height", "transcript")
        if given.get(name) is not None
    }
    if given.get("face") is not None:
        values["face"] = _face(given["face"])
    label = {"text": given.get("label"), "position": given.get("label_position")}
    if any(v is not None for v in label.values()):
        values["label"] = {k: v for k, v in label.items() if v is not None}
    try:
        return RenderOptions.model_validate(values)
    except ValidationError as error:
        raise CommandError.usage(explain(error)) from error


def explain(error: ValidationError) -> str:
    """All findings of a validation in one line each: option, value, reason."""
    return "; ".join(
        f"{'.'.join(str(part) for part in line['loc'])} = {_shown(line['input'])}: {reason(line)}"
        for line in error.errors(include_url=False)
    )


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}… ({len(text)} characters)"


def _face(text: str) -> Any:
    if text == "largest":
        return text
    try:
        box = [float(part) for part in text.split(",")]
    except ValueError:
        box = []
    if len(box) != 4:
        raise CommandError.usage(f"--face {text!r} is neither 'largest' nor a box x0,y0,x1,y1")
    return {"box": box}
