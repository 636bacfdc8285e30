"""The two files that sign content credentials, looked at before any job would fail by them."""

from __future__ import annotations

from pathlib import Path


def check(chain: Path, key: Path) -> None:
    """A certificate chain and the key of its first certificate, both PEM.

    Raises:
        ValueError: names the setting, its file and what is wrong with it.
    """
    # here, since few installations have them and each import costs the start
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from cryptography.x509 import load_pem_x509_certificates

    certificates, secret = _read("CERTIFICATE", chain), _read("KEY", key)
    try:
        signer = load_pem_x509_certificates(certificates)[0]
    except ValueError as error:
        raise ValueError(
            f"F2F_C2PA_CERTIFICATE_PATH = {str(chain)!r} holds no certificate chain in PEM"
        ) from error
    try:
        private = load_pem_private_key(secret, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ValueError(
            f"F2F_C2PA_KEY_PATH = {str(key)!r} holds no private key in PEM without a passphrase"
        ) from error
    if private.public_key() != signer.public_key():
        raise ValueError(
            f"F2F_C2PA_KEY_PATH = {str(key)!r} is not the key of the first certificate of "
            f"F2F_C2PA_CERTIFICATE_PATH = {str(chain)!r}"
        )


def _read(what: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:  # a mounted secret is often readable by root alone
        raise ValueError(
            f"F2F_C2PA_{what}_PATH = {str(path)!r} cannot be read ({error.strerror})"
        ) from error
