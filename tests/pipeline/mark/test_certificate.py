"""The signing identity: made once, kept privately, named for what it is; bad files are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from pipeline.errors import EngineFailed
from pipeline.mark import certificate
from pipeline.mark.certificate import DEVELOPMENT, development_identity, load_identity


def test_development_identity_is_made_once_and_kept(tmp_path: Path) -> None:
    first = development_identity(tmp_path / "signing")
    assert development_identity(tmp_path / "signing") == first
    assert first.development


def test_its_key_is_readable_by_the_owner_alone(tmp_path: Path) -> None:
    development_identity(tmp_path)
    (file,) = tmp_path.iterdir()
    assert file.stat().st_mode & 0o077 == 0


def test_every_certificate_of_it_says_that_it_is_not_trusted(tmp_path: Path) -> None:
    chain = x509.load_pem_x509_certificates(development_identity(tmp_path).chain)
    assert len(chain) == 2
    assert all(DEVELOPMENT in c.subject.rfc4514_string().replace("\\", "") for c in chain)


def test_a_folder_that_cannot_be_written_does_not_stop_signing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    first = development_identity(tmp_path / "file")
    assert first.development
    assert development_identity(tmp_path / "file") == first


@pytest.mark.parametrize("damage", [b"", b"not PEM", b"-----BEGIN CERTIFICATE-----\nAA"])
def test_damaged_kept_identity_is_made_anew(tmp_path: Path, damage: bytes) -> None:
    first = development_identity(tmp_path)
    (file,) = tmp_path.iterdir()
    file.write_bytes(damage)
    again = development_identity(tmp_path)
    assert again != first
    assert development_identity(tmp_path) == again


def test_identity_near_its_end_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certificate, "_YEARS", 0)
    first = development_identity(tmp_path)
    monkeypatch.setattr(certificate, "_YEARS", 10)
    assert development_identity(tmp_path) != first


def test_given_identity_is_loaded_with_the_name_of_its_algorithm(tmp_path: Path) -> None:
    made = development_identity(tmp_path / "own")
    (tmp_path / "chain.pem").write_bytes(made.chain)
    (tmp_path / "key.pem").write_bytes(made.key)
    loaded = load_identity(tmp_path / "chain.pem", tmp_path / "key.pem")
    assert (loaded.algorithm, loaded.chain) == ("ed25519", made.chain)


def test_key_of_another_certificate_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "chain.pem").write_bytes(development_identity(tmp_path / "own").chain)
    other = ec.generate_private_key(ec.SECP256R1())
    pem = other.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "key.pem").write_bytes(pem)
    with pytest.raises(EngineFailed, match=r"does not belong.*|key\.pem"):
        load_identity(tmp_path / "chain.pem", tmp_path / "key.pem")


def test_key_is_never_shown(tmp_path: Path) -> None:
    identity = development_identity(tmp_path)
    assert "PRIVATE" not in repr(identity)
