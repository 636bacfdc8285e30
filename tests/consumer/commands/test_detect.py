"""`face2face detect` and the settings of labels, as a user meets them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from consumer.caches import signing_root
from consumer.settings import SettingsError
from consumer.settings.load import load
from consumer.work.marks import render_marks
from pipeline.mark.certificate import development_identity
from pipeline.mark.choosing import choose_marks
from tests.consumer.command_line import error_of, face2face, only_object
from tests.pipeline.mark.clips import JOB, made, sealed


def test_detect_prints_one_object_that_names_the_job(tmp_path: Path) -> None:
    path = sealed(tmp_path)
    done = face2face("detect", "--json", str(path))
    assert done.returncode == 0, done.stderr
    told = only_object(done.stdout)
    assert (told["found"], told["job_id"]) == (True, JOB)
    assert isinstance(told["layers"], dict)
    assert {name: layer["status"] for name, layer in told["layers"].items()} == {
        "container": "verified",
        "c2pa": "verified",
        "watermark": "absent",
    }


def test_detect_says_in_words_what_it_found(tmp_path: Path) -> None:
    done = face2face("detect", str(sealed(tmp_path)))
    assert f"made by Face2Face, job {JOB}" in done.stdout
    assert "development, not trusted" in done.stdout


@pytest.mark.parametrize("content", ["", "no certificate"])
def test_roots_that_are_none_are_refused_and_no_file_is_called_changed_for_them(
    tmp_path: Path, content: str
) -> None:
    roots = tmp_path / "roots.pem"
    roots.write_text(content, encoding="ascii")
    done = face2face("detect", str(sealed(tmp_path)), "--trust", str(roots))
    assert done.returncode == 2
    assert f"--trust '{roots}' cannot be read as PEM" in done.stderr
    assert "broken" not in done.stdout


def test_detect_refuses_a_file_that_is_not_there(tmp_path: Path) -> None:
    done = face2face("detect", "--json", str(tmp_path / "none.mp4"))
    assert done.returncode == 2
    assert error_of(done)["code"] == "INPUT_NOT_FOUND"


def test_a_name_of_any_bytes_is_refused_and_read_as_every_other(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"no\xff.mp4")
    path.write_text("no media")
    done = face2face("detect", "--json", str(path))
    assert done.returncode == 2, done.stderr
    assert error_of(done)["code"] == "INPUT_UNREADABLE"


def test_all_layers_are_on_unless_a_setting_says_otherwise(tmp_path: Path) -> None:
    marks = render_marks(load({}), {"by": "them"})
    assert (marks.container, marks.credentials, marks.watermark) == (True, True, True)
    assert marks.consent == {"by": "them"}
    names = ("F2F_LABEL_C2PA", "F2F_LABEL_CONTAINER", "F2F_LABEL_WATERMARK")
    off = render_marks(load(dict.fromkeys(names, "0")), None)
    assert (off.container, off.credentials, off.watermark) == (False, False, False)
    assert choose_marks(**off.model_dump()).identity is None


def test_the_registered_operator_is_named_as_the_producer() -> None:
    code = "001191110108MA01XXXXXX"
    marks = render_marks(load({"F2F_LABEL_PRODUCER": code, "F2F_LABEL_C2PA": "0"}), None)
    assert choose_marks(**marks.model_dump()).producer == code
    with pytest.raises(SettingsError, match="F2F_LABEL_PRODUCER"):
        load({"F2F_LABEL_PRODUCER": "a\nb"})


def test_given_certificate_signs_instead_of_the_development_one(tmp_path: Path) -> None:
    identity = made(tmp_path).marks.identity
    assert identity is not None
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain.write_bytes(identity.chain)
    key.write_bytes(identity.key)
    settings = load({"F2F_C2PA_CERTIFICATE_PATH": str(chain), "F2F_C2PA_KEY_PATH": str(key)})
    chosen = choose_marks(**render_marks(settings, None).model_dump()).identity
    assert chosen is not None
    assert chosen.chain == identity.chain


@pytest.mark.parametrize("name", ["F2F_C2PA_CERTIFICATE_PATH", "F2F_C2PA_KEY_PATH"])
def test_half_an_identity_is_refused_at_start(tmp_path: Path, name: str) -> None:
    file = tmp_path / "some.pem"
    file.write_text("")
    with pytest.raises(SettingsError, match="belong together"):
        load({name: str(file)})
    with pytest.raises(SettingsError, match=f"{name} = .*not a file"):
        load({name: str(tmp_path / "none.pem")})


@pytest.mark.parametrize(
    ("chain", "key", "said"),
    [
        ("other", "key", "CERTIFICATE_PATH = .* holds no certificate chain"),
        ("key", "key", "CERTIFICATE_PATH = .* holds no certificate chain"),
        ("chain", "other", "KEY_PATH = .* holds no private key in PEM"),
        ("chain", "chain", "KEY_PATH = .* holds no private key in PEM"),
        ("chain", "key of another", "KEY_PATH = .* is not the key of the first certificate"),
    ],
)
def test_an_identity_that_cannot_sign_stops_the_start_and_not_every_job(
    tmp_path: Path, chain: str, key: str, said: str
) -> None:
    first, second = (development_identity(tmp_path / name) for name in ("a", "b"))
    content = {
        "chain": first.chain,
        "key": first.key,
        "key of another": second.key,
        "other": b"no PEM",
    }
    files = {}
    for name in (chain, key):
        files[name] = tmp_path / f"{name}.pem"
        files[name].write_bytes(content[name])
    with pytest.raises(SettingsError, match=said):
        load(
            {
                "F2F_C2PA_CERTIFICATE_PATH": str(files[chain]),
                "F2F_C2PA_KEY_PATH": str(files[key]),
            }
        )


@pytest.mark.parametrize("name", ["F2F_C2PA_CERTIFICATE_PATH", "F2F_C2PA_KEY_PATH"])
def test_an_identity_that_cannot_be_read_is_not_called_something_else_than_pem(
    tmp_path: Path, name: str
) -> None:
    """A mounted secret that its owner alone may read was said to hold no key."""
    identity, files = development_identity(tmp_path), {}
    for setting, content in (
        ("F2F_C2PA_CERTIFICATE_PATH", identity.chain),
        ("F2F_C2PA_KEY_PATH", identity.key),
    ):
        files[setting] = str(tmp_path / setting)
        Path(files[setting]).write_bytes(content)
    files[name] = "/proc/self/mem"  # a file that nobody can read from its beginning
    with pytest.raises(SettingsError, match=rf"{name} = '/proc/self/mem' cannot be read \("):
        load(files)


def test_folder_of_the_development_certificate_can_be_chosen(tmp_path: Path) -> None:
    assert signing_root({"F2F_SIGNING_DIR": str(tmp_path)}) == tmp_path
    assert signing_root({"XDG_CACHE_HOME": str(tmp_path)}) == tmp_path / "face2face" / "signing"


def test_job_id_that_no_job_may_have_is_refused() -> None:
    done = face2face(
        "render", "--json", "--audio", "a", "--video", "v", "-o", "o", "--job-id", "a b"
    )
    assert done.returncode == 2
    assert "a b" in json.dumps(only_object(done.stdout))
