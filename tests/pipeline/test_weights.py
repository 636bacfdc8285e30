"""The face models come by pin and digest, whole or not at all, and then nobody asks the network."""

from __future__ import annotations

import hashlib
import http.server
import random
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from pipeline import face_wheel
from pipeline.errors import WeightsMissing
from pipeline.weights import REVISION, load_faces, pull_faces, verify_faces
from schemas.codes import ErrorCode, Stage
from tests.support.disks import own_disk

MB = 1024 * 1024
WHEEL = "mediapipe-0.10.21-cp311-cp311-manylinux_2_28_x86_64.whl"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A copy of the pulled weights."""
    try:
        source = verify_faces()
    except WeightsMissing as error:
        pytest.fail(error.message)
    shutil.copytree(source, tmp_path / "weights" / "faces" / REVISION)
    return tmp_path / "weights"


@contextmanager
def index_with(folder: Path) -> Iterator[str]:
    """A package index on loopback that has one wheel: the one in the folder."""
    pages = folder / "simple" / "mediapipe"
    pages.mkdir(parents=True)
    for wheel in folder.glob("*.whl"):
        shutil.copy(wheel, pages)
    (pages / "index.html").write_text(f'<a href="{WHEEL}">{WHEEL}</a>')

    class Pages(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args: object) -> None:
            super().__init__(*args, directory=str(folder))  # type: ignore[arg-type]

        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/simple"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def only_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """pip without other places to look, retries, or a proxy between."""
    for name in (
        "PIP_FIND_LINKS",
        "PIP_EXTRA_INDEX_URL",
        "PIP_NO_INDEX",
        "http_proxy",
        "HTTP_PROXY",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


def fake_wheel(folder: Path, members: dict[str, bytes]) -> str:
    """Write a wheel; returns its sha256."""
    path = folder / WHEEL
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
        info = "mediapipe-0.10.21.dist-info"
        archive.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: mediapipe\nVersion: 0.10.21\n"
        )
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: cp311-cp311-manylinux_2_28_x86_64\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_pulling_again_starts_nothing(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("a subprocess was started")

    monkeypatch.setattr(subprocess, "run", refuse)
    said: list[str] = []
    assert pull_faces(root, said.append) == root / "faces" / REVISION
    assert "already" in said[0]


def test_loaded_models_are_whole(root: Path) -> None:
    models = load_faces(root)
    assert len(models.detector.graph.nodes) > 60
    assert len(models.mesh.graph.outputs) == 7
    half = [t for t in models.mesh.weights.values() if t.dtype == torch.float16]
    assert sum(t.numel() for t in half) > 1_000_000


def test_a_changed_file_is_noticed_and_named(root: Path) -> None:
    path = root / "faces" / REVISION / "mesh.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(WeightsMissing, match=r"mesh\.safetensors has sha256") as caught:
        verify_faces(root)
    assert "face2face weights pull faces" in caught.value.message


@pytest.mark.parametrize("call", [verify_faces, load_faces])
def test_missing_models_name_the_command_that_brings_them(call: object, tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match="face2face weights pull faces") as caught:
        call(tmp_path)  # type: ignore[operator]
    assert caught.value.code is ErrorCode.WEIGHTS_MISSING
    assert caught.value.stage is Stage.TRACK


@pytest.mark.parametrize("name", ["mesh.safetensors", "detector.json"])
def test_damaged_models_name_the_command_that_brings_them(name: str, root: Path) -> None:
    path = root / "faces" / REVISION / name
    path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(WeightsMissing, match=r"cannot be read .*face2face weights pull faces"):
        load_faces(root)


@pytest.mark.usefixtures("only_loopback")
def test_another_wheel_than_the_pinned_one_is_refused(tmp_path: Path) -> None:
    fake_wheel(tmp_path, {"mediapipe/x.py": b"raise SystemExit('imported')"})
    with (
        index_with(tmp_path) as url,
        pytest.raises(WeightsMissing, match="could not be fetched") as e,
    ):
        pull_faces(tmp_path / "weights", index_url=url)
    assert e.value.stage is Stage.FETCH
    assert face_wheel.WHEEL_SHA256 in e.value.message
    assert not (tmp_path / "weights" / "faces" / REVISION).exists()


@pytest.mark.usefixtures("only_loopback")
def test_a_wheel_with_another_model_inside_is_refused_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = {member.path: b"TFL3" for member in face_wheel.MEMBERS}
    monkeypatch.setattr(face_wheel, "WHEEL_SHA256", fake_wheel(tmp_path, members))
    with index_with(tmp_path) as url, pytest.raises(WeightsMissing, match=r"tflite has sha256"):
        pull_faces(tmp_path / "weights", index_url=url)
    assert [p.name for p in (tmp_path / "weights" / "faces").iterdir()] == [".lock"]


@pytest.mark.usefixtures("only_loopback")
def test_an_index_out_of_reach_is_said_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match="package index that pip is configured with"):
        pull_faces(tmp_path, index_url="http://127.0.0.1:9/simple")


@pytest.mark.usefixtures("only_loopback")
def test_a_disk_that_is_full_is_called_that_and_not_a_trouble_of_the_index(tmp_path: Path) -> None:
    (tmp_path / WHEEL).write_bytes(random.Random(1).randbytes(3 * MB))
    small = own_disk(tmp_path / "weights", MB)
    code = (
        "import sys; from pathlib import Path; from pipeline.weights import pull_faces\n"
        "pull_faces(Path(sys.argv[1]), index_url=sys.argv[2])"
    )
    with index_with(tmp_path) as url:
        command = [*small, sys.executable, "-c", code, str(tmp_path / "weights"), url]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    (last,) = done.stderr.strip().splitlines()[-1:]
    assert last.startswith("OSError: [Errno 28]"), done.stderr


def test_of_what_breaks_in_pip_only_its_last_line_is_told() -> None:
    said = (
        "WARNING: slow\nERROR: Exception:\nTraceback (most recent call last):\n  File x\nE: why\n"
    )
    assert face_wheel._last_words(said) == "E: why"
    assert face_wheel._last_words("ERROR: no\n  such thing\n") == "ERROR: no such thing"
    assert face_wheel._last_words("") == ""


def test_two_pulls_at_once_do_the_work_once(root: Path) -> None:
    script = (
        "from pathlib import Path\nfrom pipeline.weights import pull_faces\n"
        f"print(pull_faces(Path({str(root)!r})))"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert {p.communicate()[0].strip() for p in running} == {str(root / "faces" / REVISION)}
    verify_faces(root)


def test_checking_the_models_does_not_load_torch(root: Path) -> None:
    script = (
        "import sys\nfrom pathlib import Path\n"
        "from pipeline.weights import pull_faces, verify_faces\n"
        f"pull_faces(Path({str(root)!r}))\nverify_faces(Path({str(root)!r}))\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_what_is_here_and_right_needs_no_folder_that_can_be_written(root: Path) -> None:
    (root / "faces" / ".lock").mkdir()  # nobody can write it, root included
    assert pull_faces(root) == root / "faces" / REVISION


def test_a_file_in_place_of_the_folder_holds_no_weights(tmp_path: Path) -> None:
    (tmp_path / "weights").write_bytes(b"")
    with pytest.raises(WeightsMissing, match="nothing is installed"):
        verify_faces(tmp_path / "weights")
    with pytest.raises(WeightsMissing, match="is missing"):
        load_faces(tmp_path / "weights")
