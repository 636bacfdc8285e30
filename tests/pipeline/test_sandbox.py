"""A worker's own limits. Each case runs in a process of its own: they cannot be taken back."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.sandbox import limit_process

ROOT = Path(__file__).parents[2]


def run(code: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-B", "-c", code],  # compiled files would be cut at the limit, and stay
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env={"PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_file_that_grows_too_large_is_an_os_error(tmp_path: Path) -> None:
    code = """
from pipeline.sandbox import limit_process
limit_process(max_file_bytes=1000)
try:
    with open("big", "wb", buffering=0) as file:
        while True:
            file.write(bytes(600))
except OSError as error:
    print(error.errno)
"""
    assert run(code, tmp_path) == "27"
    assert (tmp_path / "big").stat().st_size <= 1000


def test_no_core_no_flood_of_descriptors_no_new_privileges(tmp_path: Path) -> None:
    code = """
import resource
from pathlib import Path
from pipeline.sandbox import MAX_OPEN_FILES, limit_process
most = min(MAX_OPEN_FILES, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
limit_process(max_file_bytes=10**9)
print(resource.getrlimit(resource.RLIMIT_CORE))
print(resource.getrlimit(resource.RLIMIT_NOFILE) == (most, most))
print("NoNewPrivs:\\t1" in Path("/proc/self/status").read_text())
Path("secret").touch()
files = []
try:
    while True:
        files.append(open("/dev/null"))
except OSError as error:
    print(error.errno)
"""
    assert run(code, tmp_path).splitlines() == ["(0, 0)", "True", "True", "24"]
    assert (tmp_path / "secret").stat().st_mode & 0o077 == 0


def test_limits_are_inherited_and_never_rise(tmp_path: Path) -> None:
    code = """
import resource, subprocess, sys
from pipeline.sandbox import limit_process
limit_process(max_file_bytes=1000)
limit_process(max_file_bytes=5000)
child = "import resource; print(resource.getrlimit(resource.RLIMIT_FSIZE))"
print(subprocess.run([sys.executable, "-B", "-c", child], capture_output=True, text=True).stdout)
"""
    assert run(code, tmp_path) == "(1000, 1000)"


def test_address_space_stays_open_for_cuda(tmp_path: Path) -> None:
    code = """
import resource
from pipeline.sandbox import limit_process
before = resource.getrlimit(resource.RLIMIT_AS)
limit_process(max_file_bytes=1000)
print(resource.getrlimit(resource.RLIMIT_AS) == before)
"""
    assert run(code, tmp_path) == "True"


@pytest.mark.parametrize("size", [0, -1])
def test_limits_must_be_positive(size: int) -> None:
    with pytest.raises(ValueError, match="positive"):
        limit_process(size)
