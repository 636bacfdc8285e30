"""Log lines are JSON on stderr, and hold neither a secret nor a signature."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, get_args
from urllib.parse import quote_plus

import pytest
from pydantic import SecretStr

from consumer.logs import Redactor, _render
from consumer.settings import Settings
from consumer.settings.load import load

ENV = {
    "S3_ACCESS_KEY": "who",
    "S3_SECRET_KEY": "hunter2hunter2",
    "KAFKA_SASL_PASSWORD": "swordfish",
}
SIGNED = "http://s3/b/k.mp4?X-Amz-Credential=AK%2F2026&X-Amz-Signature=0123abcd&x=1"


def _clean(**event: object) -> str:
    return json.dumps(Redactor(load(ENV))(None, "info", event), default=str)


def test_secrets_of_the_settings_are_hidden_at_any_depth() -> None:
    said = _clean(a="key hunter2hunter2!", b={"c": ["swordfish", 7]}, d=ValueError("swordfish"))
    assert "hunter2" not in said
    assert "swordfish" not in said
    assert "7" in said


@pytest.mark.parametrize("secret", ["pa'ss\\word", 'päss"wört', "a+b/c==", "tab\\tbed"])
@pytest.mark.parametrize(
    "quote_it",
    [
        *(str, repr, ascii, json.dumps, quote_plus),
        lambda s: repr(f"\0me\0{s}".encode()),
        lambda s: json.dumps(s, ensure_ascii=False),
    ],
)
def test_secrets_are_hidden_however_a_text_quotes_them(
    secret: str, quote_it: Callable[[str], str]
) -> None:
    env = {**ENV, "KAFKA_SASL_PASSWORD": secret}
    quoted = quote_it(secret)
    said = Redactor(load(env)).text(f"SaslAuthenticateRequest_v0(sasl_auth_bytes={quoted})")
    left = said.removeprefix("SaslAuthenticateRequest_v0(sasl_auth_bytes=")
    assert re.fullmatch(r"""b?['"]?(\\x00me\\x00)?\*\*\*['"]?\)""", left), said


def test_every_secret_of_the_settings_is_hidden() -> None:
    """One that is added to the settings has to be added to the log's."""
    names = [name for name, field in Settings.model_fields.items() if _is_secret(field.annotation)]
    assert len(names) >= 4
    values = {name: SecretStr(f"swordfish-{n}") for n, name in enumerate(names)}
    redactor = Redactor(load(ENV).model_copy(update=values))
    assert redactor.text(" ".join(f"swordfish-{n}" for n in range(len(names)))) == " ".join(
        "***" for _ in names
    )


def _is_secret(annotation: Any) -> bool:
    return annotation is SecretStr or SecretStr in get_args(annotation)


def test_a_secret_so_short_that_it_stands_in_other_words_is_no_secret() -> None:
    def shown(secret: str) -> str:
        return Redactor(load({**ENV, "F2F_API_KEY": secret})).text(f"before {secret} after")

    assert shown("open") == "before *** after"
    assert shown("fte") == "before fte after"


def test_what_holds_no_text_is_left_as_it_is() -> None:
    event = {"code": None, "reused": True, "attempt": 3, "seconds": 1.5}
    assert Redactor(load(ENV))(None, "info", event) == event


def test_a_secret_that_begins_as_another_does_is_hidden_to_its_end() -> None:
    env = {**ENV, "F2F_API_KEY": "swordfish and chips for all"}
    assert Redactor(load(env)).text("swordfish and chips for all, swordfish") == "***, ***"


def test_signatures_of_urls_are_hidden_and_the_rest_stays() -> None:
    said = _clean(event=f"fetch {SIGNED} failed", urls=(SIGNED,))
    assert "0123abcd" not in said
    assert "AK%2F2026" not in said
    assert said.count("http://s3/b/k.mp4?") == 2
    assert "x=1" in said


def test_lines_of_ours_and_of_libraries_are_json_on_stderr() -> None:
    code = (
        "import consumer.without_rich, logging, structlog\n"
        "from consumer import logs; from consumer.settings.load import load\n"
        f"logs.configure(load({ENV!r}))\n"
        "structlog.get_logger('x').info('hello', secret='swordfish')\n"
        "logging.getLogger('library').error('bad %s', 'swordfish')\n"
        "logging.getLogger('aiokafka').warning('chatter')\n"
        "try: 1 / 0\n"
        "except ZeroDivisionError: structlog.get_logger().exception('boom')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout == ""
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["event"] for line in lines] == ["hello", "bad ***", "boom"]
    assert lines[0]["secret"] == "***"
    assert lines[0]["level"] == "info"
    at = [datetime.fromisoformat(line["timestamp"]) for line in lines]
    assert all(each.utcoffset() == timedelta(0) for each in at)
    assert "ZeroDivisionError" in lines[2]["exception"]


def test_a_traceback_on_the_console_is_made_safe_and_shows_no_local_variable() -> None:
    event: Any = {"event": "boom", "exc_info": True}
    try:
        (lambda local: int("swordfish"))("a key of the store")
    except ValueError:
        for step in _render(load({**ENV, "F2F_LOG_FORMAT": "console"})):
            event = step(None, "error", event)
    assert "invalid literal for int() with base 10: '***'" in event
    assert "local = " not in event
    assert "swordfish" not in event


def test_the_service_imports_nothing_heavy() -> None:
    heavy = {"rich", "torch", "numpy", "av"}
    code = f"import sys, consumer.app; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.strip() == "[]"
