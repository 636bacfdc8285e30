"""A hub on loopback that has the tiny networks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from safetensors.torch import save

from tests.pipeline.hub.published import PATHS, REPO, REVISION, published, torch_archive
from tests.pipeline.hub.standin import Hub


@pytest.fixture(scope="module")
def contents() -> dict[str, bytes]:
    return {
        "unet": torch_archive(published("unet")),
        "vae": save({key: value.contiguous() for key, value in published("vae").items()}),
        "whisper": torch_archive(published("whisper")),
        "taesd": save(published("taesd")),
    }


@pytest.fixture
def hub(contents: dict[str, bytes]) -> Iterator[Hub]:
    files = {(REPO, REVISION, PATHS[name]): content for name, content in contents.items()}
    with Hub(files) as server:
        yield server
