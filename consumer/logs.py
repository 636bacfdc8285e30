"""Structured logs on stderr: one JSON object per line, without secrets and presigned URLs."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import structlog

from consumer.log_repeats import Repeats
from consumer.log_writer import handler
from consumer.settings import Settings
from consumer.settings.names import unknown_names

_SIGNED = re.compile(
    r"(?i)([?&](?:x-amz-(?:signature|credential|security-token)|signature|sig|token|"
    r"awsaccesskeyid)=)[^&\s\"']+"
)
_MIN_SECRET_CHARS = 4
_HIDDEN = "***"
_NOISY = {
    "aiokafka": logging.ERROR,
    "uvicorn": logging.WARNING,
    "urllib3": logging.ERROR,
    "opentelemetry": logging.ERROR,
}


def configure(settings: Settings) -> None:
    """Send the logs of this process to stderr, in the format and from the level of the settings.

    The first lines are of names in the environment that set nothing.
    """
    level = getattr(logging, settings.log_level.upper())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    writer = handler(sys.stderr)
    writer.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_render(settings),
            ],
        )
    )
    writer.addFilter(Repeats("aiokafka"))
    root = logging.getLogger()
    root.handlers[:] = [writer]
    root.setLevel(level)
    for name, least in _NOISY.items():
        logging.getLogger(name).setLevel(level if level == logging.DEBUG else least)
    for line in unknown_names():
        structlog.get_logger("settings").warning(line)


def _render(settings: Settings) -> list[Any]:
    # Tracebacks become text first, so that they are made safe, too, and show no local variables:
    # those of the store's client hold its keys.
    shared = [structlog.processors.format_exc_info, Redactor(settings)]
    if settings.log_format == "console":
        return [
            *shared,
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            ),
        ]
    return [*shared, structlog.processors.JSONRenderer(default=str, ensure_ascii=False)]


def _forms(secret: str) -> set[str]:
    """A secret as texts may quote it: as it is, and inside a value, bytes, JSON or a URL."""
    return {
        secret,
        repr(secret)[1:-1],
        ascii(secret)[1:-1],
        repr(secret.encode())[2:-1],
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        quote(secret, safe=""),
    }


class Redactor:
    """A structlog processor that hides secrets of the settings and signatures of URLs."""

    def __init__(self, settings: Settings) -> None:
        secrets = (
            settings.s3_secret_key,
            settings.s3_session_token,
            settings.kafka_password,
            settings.api_key,
        )
        values = [secret.get_secret_value() for secret in secrets if secret is not None]
        long_enough = (value for value in values if len(value) >= _MIN_SECRET_CHARS)
        forms = {form for value in long_enough for form in _forms(value)}
        # the longest first: what begins as another secret does would keep its end
        self._secrets = sorted(forms, key=len, reverse=True)

    def __call__(self, _logger: Any, _method: str, event: Mapping[str, Any]) -> dict[str, Any]:
        """The event with every text in it, at any depth, made safe."""
        return {name: self._clean(value) for name, value in event.items()}

    def _clean(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {name: self._clean(inner) for name, inner in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._clean(inner) for inner in value]
        if value is None or isinstance(value, bool | int | float):
            return value
        return self.text(str(value))

    def text(self, value: str) -> str:
        """A text without the settings' secrets and without signatures."""
        for secret in self._secrets:
            value = value.replace(secret, _HIDDEN)
        return _SIGNED.sub(rf"\1{_HIDDEN}", value)
