"""Every setting of the service, made of its groups; `consumer.settings.load` reads them.

A setting that cannot work is refused at start, by name, with its value and limit; secrets are
never shown. Each group has a module of its own, with the checks that need no other group. The table
of docs/operations.md is made from the descriptions there.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

from pydantic import ValidationInfo, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from consumer.settings import checks
from consumer.settings.http import HttpSettings
from consumer.settings.inputs import AvatarSettings, InputSettings
from consumer.settings.kafka import KafkaSettings
from consumer.settings.labels import LabelSettings
from consumer.settings.scratch import ScratchSettings
from consumer.settings.store import StoreSettings
from consumer.settings.work import WorkSettings

_LISTS = ("kafka_servers", "devices", "retry_delays_s", "allowed_hosts")
"""Whose parts are trimmed: they may stand on lines of their own."""


class SettingsError(ValueError):
    """A setting that cannot work; the text names each one, its value and what is wrong with it."""


class Settings(
    HttpSettings,
    ScratchSettings,
    LabelSettings,
    AvatarSettings,
    InputSettings,
    WorkSettings,
    StoreSettings,
    KafkaSettings,
    BaseSettings,
):
    """The service's settings; field order, the last base's first, is the table's order."""

    model_config = SettingsConfigDict(
        extra="ignore",
        frozen=True,
        populate_by_name=True,
        env_ignore_empty=True,
        allow_inf_nan=False,
        defer_build=False,
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

    @property
    def avatars(self) -> Path:
        """The service's folder of prepared references."""
        return self.avatar_dir or self.data_dir / "avatars"

    @property
    def replica(self) -> str:
        """Name of this replica in leases and logs; unique per process."""
        return f"{self.kafka_instance or socket.gethostname()}/{os.getpid()}"
