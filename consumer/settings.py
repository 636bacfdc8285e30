"""Every setting of the service, read from the environment (and from `*_FILE` for secrets).

A setting that cannot work is refused at start, by name, with its value and limit; secrets are
never shown. The table of docs/operations.md is made from the descriptions here.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from consumer import settings_checks as checks
from schemas.refs import check_bucket
from schemas.topics import Topics


class SettingsError(ValueError):
    """A setting that cannot work; the text names each one, its value and what is wrong with it."""


def _split(value: Any) -> Any:
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def _auto(value: Any) -> Any:
    return None if value == "auto" else value


def _given(check: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else check(value)


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]


MOST_LEASE_S = 86_400.0
"""A replica that dies keeps its render from the others for as long as its lease."""
_MOST_S = 1e9
"""Some 30 years: with more, dates and timers overflow in the middle of the work."""
_MOST_KAFKA_S = 2_000_000
"""The brokers count milliseconds in 31 bits."""
_MOST_BYTES = 2**50
_MOST_PIXELS = 300_000_000
"""libavcodec's own limit is 31 bits, and stills may have 7 times as many."""
_LISTS = ("kafka_servers", "devices", "retry_delays_s", "allowed_hosts")
"""Whose parts are trimmed: they may stand on lines of their own."""
_MOST_SHOWN = 200
_LINE_END = "\r\n"
_HIDDEN = ("SECRET", "PASSWORD", "API_KEY", "TOKEN")


def _env(name: str, default: Any, text: str, **limits: Any) -> Any:
    return Field(default, validation_alias=name, description=text, **limits)


class Settings(BaseSettings):
    """The service's settings; field order is the documentation's order."""

    model_config = SettingsConfigDict(
        extra="ignore",
        frozen=True,
        populate_by_name=True,
        env_ignore_empty=True,
        allow_inf_nan=False,
    )

    # Kafka
    kafka_servers: Names = _env(
        "KAFKA_BOOTSTRAP_SERVERS", ("127.0.0.1:9092",), "brokers, host:port, comma-separated"
    )
    kafka_group: str = _env(
        "KAFKA_GROUP_ID", "face2face", "consumer group", min_length=1, max_length=1000
    )
    kafka_instance: str | None = _env(
        "KAFKA_GROUP_INSTANCE_ID",
        None,
        "static membership: a stable name per replica",
        pattern=r"^[A-Za-z0-9._-]{1,249}$",
    )
    topic_prefix: str = _env(
        "F2F_TOPIC_PREFIX", "face2face", "prefix of all topics", pattern=r"^[A-Za-z0-9._-]{1,150}$"
    )
    session_timeout_s: float = _env(
        "KAFKA_SESSION_TIMEOUT_S", 45.0, "group session", gt=0, le=_MOST_KAFKA_S
    )
    heartbeat_s: float = _env(
        "KAFKA_HEARTBEAT_S", 3.0, "group heartbeat interval", ge=0.1, le=_MOST_KAFKA_S
    )
    rebalance_timeout_s: float = _env(
        "KAFKA_REBALANCE_TIMEOUT_S", 60.0, "group rebalance", ge=1, le=_MOST_KAFKA_S
    )
    max_poll_interval_s: float = _env(
        "KAFKA_MAX_POLL_INTERVAL_S", 3600.0, "longest time without a poll", ge=1, le=_MOST_KAFKA_S
    )
    kafka_security: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = _env(
        "KAFKA_SECURITY_PROTOCOL", "PLAINTEXT", "transport of the brokers"
    )
    kafka_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = _env(
        "KAFKA_SASL_MECHANISM", "SCRAM-SHA-512", "SASL mechanism"
    )
    kafka_user: str | None = _env("KAFKA_SASL_USERNAME", None, "SASL user")
    kafka_password: SecretStr | None = _env("KAFKA_SASL_PASSWORD", None, "SASL password")
    kafka_ca: Path | None = _env("KAFKA_SSL_CA_FILE", None, "CA certificates (PEM)")

    # Object store
    s3_endpoint: str = _env("S3_ENDPOINT", "http://127.0.0.1:9000", "http(s)://host:port")
    s3_access_key: str = _env("S3_ACCESS_KEY", "", "access key")
    s3_secret_key: SecretStr = _env("S3_SECRET_KEY", SecretStr(""), "secret key")
    s3_session_token: SecretStr | None = _env(
        "S3_SESSION_TOKEN", None, "token that belongs to temporary keys"
    )
    s3_credentials: Literal["keys", "aws"] = _env(
        "S3_CREDENTIALS",
        "keys",
        "keys: those above; aws: found as AWS' tools do (`AWS_*`, the credentials file, EKS, "
        "container or machine role), and renewed",
    )
    s3_bucket: str = _env("S3_BUCKET", "face2face", "bucket of inputs, results and markers")
    s3_region: str = _env(
        "S3_REGION", "us-east-1", "region of the signature", pattern=r"^[A-Za-z0-9_-]+$"
    )
    s3_ca: Path | None = _env("S3_CA_FILE", None, "CA certificates (PEM)")
    s3_public_endpoint: str | None = _env(
        "S3_PUBLIC_ENDPOINT", None, "endpoint written into presigned URLs, where it differs"
    )
    presign_s: int = _env(
        "F2F_PRESIGN_S", 86_400, "life of download URLs, seconds", ge=60, le=604_800
    )

    # Work
    engine: str = _env("F2F_ENGINE", "viseme", "engine of requests that name none")
    devices: Names = _env(
        "F2F_DEVICES", ("auto",), "auto, cpu, or GPU indices such as 0,1: one worker each"
    )
    workers_per_gpu: int = _env(
        "F2F_WORKERS_PER_GPU",
        1,
        "processes that share one GPU, each with the models in its memory",
        ge=1,
        le=16,
    )
    slots: Annotated[int | None, BeforeValidator(_auto)] = _env(
        "F2F_SLOTS",
        None,
        "jobs that one worker runs at a time; auto: 1 on a CPU, on a GPU what its memory holds",
        ge=1,
        le=64,
    )
    nvdec: bool = _env("F2F_NVDEC", True, "decode references on the GPU where it really can")
    encoder: Literal["auto", "x264", "nvenc"] = _env(
        "F2F_ENCODER",
        "x264",
        "who encodes; auto: the GPU where it really can, which makes other bytes on every machine",
    )
    gpu_batch: int = _env(
        "F2F_GPU_BATCH", 64, "frames of the largest batch of a neural engine on a GPU", ge=8, le=256
    )
    threads: Annotated[int | None, BeforeValidator(_auto)] = _env(
        "F2F_THREADS",
        None,
        "processor budget of a worker; auto: those of the container, shared by its workers",
        ge=1,
        le=256,
    )
    backlog: int = _env("F2F_BACKLOG", 2, "jobs admitted beyond the running ones", ge=0, le=256)
    max_attempts: int = _env("F2F_MAX_ATTEMPTS", 3, "tries of a job", ge=1, le=20)
    retry_delays_s: Annotated[
        tuple[Annotated[float, Field(ge=0, le=_MOST_S)], ...], NoDecode, BeforeValidator(_split)
    ] = _env(
        "F2F_RETRY_DELAYS_S",
        (10.0, 60.0),
        "waits before the next tries, seconds, comma-separated",
    )
    job_timeout_s: float = _env(
        "F2F_JOB_TIMEOUT_S", 1800.0, "longest render of one job", gt=0, le=_MOST_S
    )
    stall_timeout_s: float = _env(
        "F2F_STALL_TIMEOUT_S", 30.0, "silence after which a worker is killed", ge=2, le=_MOST_S
    )
    lease_s: float = _env(
        "F2F_LEASE_S", 30.0, "a lease not renewed for this long is stale", ge=1, le=MOST_LEASE_S
    )
    drain_s: float = _env("F2F_DRAIN_S", 60.0, "grace of running jobs at SIGTERM", ge=0, le=_MOST_S)
    max_input_bytes: int = _env(
        "F2F_MAX_INPUT_BYTES", 2 * 1024**3, "largest input file", ge=1, le=_MOST_BYTES
    )
    max_video_s: float = _env("F2F_MAX_VIDEO_S", 3600.0, "longest reference", gt=0, le=_MOST_S)
    max_audio_s: float = _env("F2F_MAX_AUDIO_S", 1800.0, "longest speech", gt=0, le=_MOST_S)
    max_pixels: int = _env(
        "F2F_MAX_PIXELS",
        3840 * 2160,
        "largest picture; a still of up to 7 times as many is scaled down",
        ge=4096,
        le=_MOST_PIXELS,
    )
    allowed_hosts: Names = _env(
        "F2F_ALLOWED_HOSTS",
        (),
        "hosts that https:// inputs may come from, comma-separated: host, host:port, .domain, "
        "or * for the public internet; never private addresses",
    )
    allow_loopback: bool = _env(
        "F2F_ALLOW_LOOPBACK_INPUTS",
        False,
        "also take http(s):// inputs from this machine; for `face2face dev` alone",
    )
    remote_timeout_s: float = _env(
        "F2F_REMOTE_TIMEOUT_S", 600.0, "longest fetch of one http(s):// input", gt=0, le=_MOST_S
    )

    # Avatars: prepared references, kept for the next job on the same video
    avatar_bytes: int = _env(
        "F2F_AVATAR_BYTES",
        2 * 1024**3,
        "disk for prepared references, least recently used ones go first; 0 keeps none",
        ge=0,
        le=_MOST_BYTES,
    )
    avatar_dir: Path | None = _env(
        "F2F_AVATAR_DIR",
        None,
        "their folder; without one `avatars` under `DUIX_DATA_DIR`, for `face2face render` under "
        "the user's cache",
    )
    avatar_store: bool = _env(
        "F2F_AVATAR_STORE", True, "keep them in the bucket, too, for all replicas"
    )

    # Labels
    label_container: bool = _env(
        "F2F_LABEL_CONTAINER", True, "AIGC and IPTC text in the MP4's metadata"
    )
    label_producer: str | None = _env(
        "F2F_LABEL_PRODUCER",
        None,
        "AIGC `ContentProducer`: the name or code under which you are registered; Face2Face where "
        "nothing is given",
        pattern=r"^[^\x00-\x1f\x7f]{1,128}$",
    )
    label_credentials: bool = _env(
        "F2F_LABEL_C2PA", True, "a signed C2PA manifest in the MP4 (content credentials)"
    )
    label_watermark: bool = _env(
        "F2F_LABEL_WATERMARK", True, "a digest of the job id in the picture, invisibly"
    )
    c2pa_certificate: Path | None = _env(
        "F2F_C2PA_CERTIFICATE_PATH",
        None,
        "certificate chain (PEM) that signs; without one, a development certificate is made and "
        "named as such",
    )
    c2pa_key: Path | None = _env(
        "F2F_C2PA_KEY_PATH", None, "its private key (PEM, PKCS #8, not encrypted)"
    )

    # Scratch and clean-up (names of the HTTP service that this one replaces)
    data_dir: Path = _env(
        "DUIX_DATA_DIR", Path("/tmp/face2face"), "scratch folder, and the Duix container's share"
    )
    cleanup_delay_s: float = _env(
        "CLEANUP_DELAY", 60.0, "life of a finished job's files", ge=0, le=_MOST_S
    )
    cleanup_interval_s: float = _env(
        "PERIODIC_CLEANUP_INTERVAL", 300.0, "pause between two sweeps", ge=1, le=_MOST_S
    )
    max_file_age_s: float = _env(
        "MAX_FILE_AGE", 3600.0, "age at which scratch is swept", gt=0, le=_MOST_S
    )
    min_free_bytes: int = _env(
        "F2F_MIN_FREE_BYTES",
        512 * 1024**2,
        "free disk below which intake pauses",
        ge=0,
        le=_MOST_BYTES,
    )
    sweep: Literal["auto", "always", "off"] = _env(
        "F2F_SWEEP",
        "auto",
        "expiry of old objects by the service itself: auto, where the store has no lifecycle "
        "rules; always, beside them too; off",
    )
    sweep_interval_s: float = _env(
        "F2F_SWEEP_INTERVAL_S", 3600.0, "pause between two passes of that expiry", ge=1, le=_MOST_S
    )
    duix_url: str = _env("DUIX_INTERNAL_URL", "http://localhost:8383", "the Duix container")

    # HTTP and logs
    http_host: str = _env("F2F_HTTP_HOST", "127.0.0.1", "address of health and metrics")
    http_port: int = _env(
        "F2F_HTTP_PORT", 8385, "port of health and metrics; 0 picks one", ge=0, le=65_535
    )
    gateway_host: str = _env("F2F_GATEWAY_HOST", "127.0.0.1", "address of the gateway")
    gateway_port: int = _env(
        "F2F_GATEWAY_PORT", 8385, "port of the gateway; 0 picks one", ge=0, le=65_535
    )
    gateway_timeout_s: float = _env(
        "F2F_GATEWAY_TIMEOUT_S",
        1800.0,
        "longest wait of /api/generate_video for its job",
        gt=0,
        le=_MOST_S,
    )
    api_key: SecretStr | None = _env(
        "F2F_API_KEY", None, "key that gateway clients must send; required beyond loopback"
    )
    log_level: Literal["debug", "info", "warning", "error"] = _env(
        "F2F_LOG_LEVEL", "info", "least level that is logged"
    )
    log_format: Literal["json", "console"] = _env("F2F_LOG_FORMAT", "json", "shape of log lines")
    otlp_endpoint: str | None = _env(
        "OTEL_EXPORTER_OTLP_ENDPOINT", None, "traces are sent here when set"
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - pydantic-settings' signature
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what `load` hands in: it reads the environment, and may be given another one."""
        return (init_settings,)

    @field_validator("*", mode="before")
    @classmethod
    def _one_line(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, str) and info.field_name not in _LISTS:
            return checks.line(value)
        return value

    @field_validator("s3_bucket")
    @classmethod
    def _bucket(cls, value: str) -> str:
        return check_bucket(value)

    _brokers = field_validator("kafka_servers")(checks.brokers)
    _engine = field_validator("engine")(checks.engine)
    _devices = field_validator("devices")(checks.devices)
    _hosts = field_validator("allowed_hosts")(checks.allowed_hosts)
    _endpoints = field_validator("s3_endpoint", "s3_public_endpoint")(_given(checks.endpoint))
    _urls = field_validator("duix_url", "otlp_endpoint")(_given(checks.http_url))
    _certificates = field_validator("kafka_ca", "s3_ca")(_given(checks.certificates))
    _files = field_validator("c2pa_certificate", "c2pa_key")(_given(checks.file))
    _keys = field_validator("api_key")(_given(checks.header_key))

    @model_validator(mode="after")
    def _together(self) -> Settings:
        if (self.c2pa_certificate is None) != (self.c2pa_key is None):
            raise ValueError("F2F_C2PA_CERTIFICATE_PATH and F2F_C2PA_KEY_PATH belong together")
        checks.region(self.s3_endpoint, self.s3_region)
        named = [self.s3_access_key, self.s3_secret_key.get_secret_value()]
        if self.s3_credentials == "aws" and (any(named) or self.s3_session_token):
            raise ValueError(
                "S3_CREDENTIALS = 'aws' finds keys elsewhere; leave out S3_ACCESS_KEY, "
                "S3_SECRET_KEY and S3_SESSION_TOKEN"
            )
        if any(named) != all(named) or (self.s3_session_token and not all(named)):
            raise ValueError("S3_ACCESS_KEY and S3_SECRET_KEY belong together")
        if self.heartbeat_s >= self.session_timeout_s:
            raise ValueError(
                f"KAFKA_HEARTBEAT_S = {self.heartbeat_s:g} must be less than "
                f"KAFKA_SESSION_TIMEOUT_S = {self.session_timeout_s:g}; a third of it is usual"
            )
        if self.kafka_security.startswith("SASL") and not (self.kafka_user and self.kafka_password):
            raise ValueError(
                f"KAFKA_SECURITY_PROTOCOL = {self.kafka_security!r} needs KAFKA_SASL_USERNAME and "
                "KAFKA_SASL_PASSWORD"
            )
        return self

    @property
    def avatars(self) -> Path:
        """The service's folder of prepared references."""
        return self.avatar_dir or self.data_dir / "avatars"

    @property
    def topics(self) -> Topics:
        """The topics under the prefix."""
        return Topics(self.topic_prefix)

    @property
    def replica(self) -> str:
        """Name of this replica in leases and logs; unique per process."""
        return f"{self.kafka_instance or socket.gethostname()}/{os.getpid()}"


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings.

    Every NAME may be given as NAME_FILE, whose content (without the last line's end) is the value;
    nor is the end of a line part of NAME, where a file of settings was written on another system.

    Raises:
        SettingsError: one line for each setting that cannot work.
    """
    source = dict(os.environ if environ is None else environ)
    values: dict[str, Any] = {}
    for field in Settings.model_fields.values():
        name = str(field.validation_alias)
        file = source.get(f"{name}_FILE")
        if file:
            values[name] = _read_secret(name, Path(file))
        elif value := source.get(name, "").rstrip(_LINE_END):
            values[name] = value
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise SettingsError("\n".join(_explain(line) for line in error.errors())) from None


def _read_secret(name: str, path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"{name}_FILE: cannot read {str(path)!r}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{name}_FILE: {str(path)!r} is not UTF-8 text") from None
    value = text.rstrip(_LINE_END)
    if not value:  # never as if it were not given: an empty key would let everybody in
        raise SettingsError(f"{name}_FILE: {str(path)!r} is empty; write the value into it")
    return value


def _explain(line: Any) -> str:
    name = ".".join(str(part) for part in line["loc"])
    text = str(line["msg"]).removeprefix("Value error, ")
    if not name:  # about several settings at once: the message names them
        return text
    shown = "(hidden)" if any(word in name for word in _HIDDEN) else _short(repr(line["input"]))
    return f"{name} = {shown}: {text}"


def _short(text: str) -> str:
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}... ({len(text)} characters)"
