"""Settings of what is said about the work: HTTP, logs and traces."""

from __future__ import annotations

from typing import Literal

from pydantic import SecretStr, field_validator

from consumer.settings import checks
from consumer.settings.fields import MOST_S, Group, env, given


class HttpSettings(Group):
    """Addresses of health, metrics and the gateway, and where logs and traces go."""

    http_host: str = env("F2F_HTTP_HOST", "127.0.0.1", "address of health and metrics")
    http_port: int = env(
        "F2F_HTTP_PORT", 8385, "port of health and metrics; 0 picks one", ge=0, le=65_535
    )
    gateway_host: str = env("F2F_GATEWAY_HOST", "127.0.0.1", "address of the gateway")
    gateway_port: int = env(
        "F2F_GATEWAY_PORT", 8385, "port of the gateway; 0 picks one", ge=0, le=65_535
    )
    gateway_timeout_s: float = env(
        "F2F_GATEWAY_TIMEOUT_S",
        1800.0,
        "longest wait of /api/generate_video for its job",
        gt=0,
        le=MOST_S,
    )
    api_key: SecretStr | None = env(
        "F2F_API_KEY", None, "key that gateway clients must send; required beyond loopback"
    )
    log_level: Literal["debug", "info", "warning", "error"] = env(
        "F2F_LOG_LEVEL", "info", "least level that is logged: debug, info, warning or error"
    )
    log_format: Literal["json", "console"] = env(
        "F2F_LOG_FORMAT", "json", "shape of log lines: json, or console for people"
    )
    otlp_endpoint: str | None = env(
        "OTEL_EXPORTER_OTLP_ENDPOINT", None, "traces are sent here when set"
    )

    _words = field_validator("log_level", "log_format", mode="before")(checks.word)
    _traces = field_validator("otlp_endpoint")(given(checks.http_url))
    _keys = field_validator("api_key")(given(checks.header_key))
