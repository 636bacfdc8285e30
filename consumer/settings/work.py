"""Settings of the work itself: on which devices, how many jobs at a time, how often, how long."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator
from pydantic_settings import NoDecode

from consumer.settings import checks
from consumer.settings.fields import MOST_S, Group, Names, auto, env, split

MOST_LEASE_S = 86_400.0
"""A replica that dies keeps its render from the others for as long as its lease."""


class WorkSettings(Group):
    """Who renders, and when a job is tried again or given up."""

    engine: str = env(
        "F2F_ENGINE",
        "viseme",
        "engine of requests that name none; a replica that lacks its files takes no work",
    )
    devices: Names = env(
        "F2F_DEVICES",
        ("auto",),
        "auto, cpu, or GPUs such as 0,1, counted among those that this process was given, or their "
        "UUIDs: one worker each",
    )
    workers_per_gpu: int = env(
        "F2F_WORKERS_PER_GPU",
        1,
        "processes that share one GPU, each with the models in its memory",
        ge=1,
        le=16,
    )
    slots: Annotated[int | None, BeforeValidator(auto)] = env(
        "F2F_SLOTS",
        None,
        "jobs that one worker runs at a time; auto: 1 on a CPU, on a GPU what its memory holds",
        ge=1,
        le=64,
    )
    nvdec: bool = env("F2F_NVDEC", True, "decode references on the GPU where it really can")
    encoder: Literal["auto", "x264", "nvenc"] = env(
        "F2F_ENCODER",
        "x264",
        "who encodes; auto: the GPU where it really can, which makes other bytes on every machine; "
        "nvenc: the GPU, else no worker starts. A film that finds no session free, or loses "
        "it, goes to x264",
    )
    gpu_batch: int = env(
        "F2F_GPU_BATCH", 64, "frames of the largest batch of a neural engine on a GPU", ge=8, le=256
    )
    gpu_networks: Literal["compiled", "captured", "single"] = env(
        "F2F_GPU_NETWORKS",
        "compiled",
        "how networks run on a GPU at best: as captured graphs whose largest batch is compiled; "
        "captured, without compiling; single, each kernel launched alone, slowly. One that cannot "
        "go its way takes the next",
    )
    threads: Annotated[int | None, BeforeValidator(auto)] = env(
        "F2F_THREADS",
        None,
        "processor budget of a worker; auto: those of the container, shared by its workers",
        ge=1,
        le=256,
    )
    backlog: int = env("F2F_BACKLOG", 2, "jobs admitted beyond the running ones", ge=0, le=256)
    max_attempts: int = env("F2F_MAX_ATTEMPTS", 3, "tries of a job", ge=1, le=20)
    retry_delays_s: Annotated[
        tuple[Annotated[float, Field(ge=0, le=MOST_S)], ...], NoDecode, BeforeValidator(split)
    ] = env(
        "F2F_RETRY_DELAYS_S",
        (10.0, 60.0),
        "waits before the next tries, seconds, comma-separated",
    )
    job_timeout_s: float = env(
        "F2F_JOB_TIMEOUT_S", 1800.0, "longest render of one job", gt=0, le=MOST_S
    )
    stall_timeout_s: float = env(
        "F2F_STALL_TIMEOUT_S", 30.0, "silence after which a worker is killed", ge=2, le=MOST_S
    )
    lease_s: float = env(
        "F2F_LEASE_S", 30.0, "a lease not renewed for this long is stale", ge=1, le=MOST_LEASE_S
    )
    drain_s: float = env("F2F_DRAIN_S", 60.0, "grace of running jobs at SIGTERM", ge=0, le=MOST_S)

    _engine = field_validator("engine")(checks.engine)
    _devices = field_validator("devices")(checks.devices)
