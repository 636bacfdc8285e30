"""The identity that signs content credentials: a given one, or a development one made here.

A development certificate proves nothing about who signed, and says so in its own subject; it makes
tampering visible all the same. Profile: C2PA technical specification, section 14.5.1 (X.509).
"""

from __future__ import annotations

import os
import tempfile
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pipeline.errors import EngineFailed
from pipeline.types import Identity
from schemas.codes import Stage

DEVELOPMENT = "Face2Face development, not trusted"
"""Organisation in the subject of every certificate that is made here."""
_FILE = "development.pem"
_YEARS = 10
_CURVES = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}


def load_identity(chain: Path, key: Path) -> Identity:
    """The identity of two PEM files.

    Raises:
        EngineFailed: a file cannot be read or holds something else, or the two do not match.
    """
    try:
        return _identity(chain.read_bytes(), key.read_bytes())
    except (OSError, ValueError, TypeError) as error:
        raise EngineFailed(
            f"signing needs a certificate chain ({chain}) and its unencrypted private key ({key}),"
            f" both PEM: {error}",
            stage=Stage.MARK,
        ) from error


def development_identity(folder: Path) -> Identity:
    """The development identity kept in a folder; made at the first call, and anew when expired.

    Where the folder cannot be written the identity lasts as long as the process.
    """
    path = folder / _FILE
    kept = _read(path)
    if kept is not None:
        return kept
    made = _make()
    try:
        _keep(path, made)
    except OSError:
        return _unkept(folder)
    return _read(path) or made


@cache
def _unkept(_folder: Path) -> Identity:
    return _make()


def _read(path: Path) -> Identity | None:
    try:
        text = path.read_bytes()
        identity = _identity(text, text)
        leaf = x509.load_pem_x509_certificates(text)[0]
    except (OSError, ValueError, TypeError):
        return None
    fresh = leaf.not_valid_after_utc > datetime.now(UTC) + timedelta(days=1)
    return identity if fresh else None


def _keep(path: Path, identity: Identity) -> None:
    """Write it whole or not at all, readable by its owner alone."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=".identity-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(identity.key + identity.chain)
        Path(draft).replace(path)
    except OSError:
        Path(draft).unlink(missing_ok=True)
        raise


def _identity(chain: bytes, key: bytes) -> Identity:
    certificates = x509.load_pem_x509_certificates(chain)
    private = serialization.load_pem_private_key(key, password=None)
    if private.public_key() != certificates[0].public_key():
        raise ValueError("the key does not belong to the first certificate")
    organisations = certificates[0].subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    development = any(name.value == DEVELOPMENT for name in organisations)
    pem = b"".join(c.public_bytes(serialization.Encoding.PEM) for c in certificates)
    return Identity(pem, _private_pem(private), _algorithm(private), development)


def _algorithm(key: PrivateKeyTypes) -> str:
    if isinstance(key, Ed25519PrivateKey):
        return "ed25519"
    if isinstance(key, RSAPrivateKey):
        return "ps256"
    if isinstance(key, EllipticCurvePrivateKey) and key.curve.name in _CURVES:
        return _CURVES[key.curve.name]
    raise ValueError("the key must be Ed25519, RSA, or on the curve P-256, P-384 or P-521")


def _private_pem(key: PrivateKeyTypes) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _make() -> Identity:
    root_key, key = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    root = _certify("root", root_key, root_key, authority=True)
    leaf = _certify("signer", key, root_key, authority=False)
    chain = b"".join(c.public_bytes(serialization.Encoding.PEM) for c in (leaf, root))
    return Identity(chain, _private_pem(key), "ed25519", development=True)


def _certify(
    name: str, key: Ed25519PrivateKey, issuer: Ed25519PrivateKey, *, authority: bool
) -> x509.Certificate:
    now = datetime.now(UTC)
    use = x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(_subject(name))
        .issuer_name(_subject("root"))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=365 * _YEARS))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(use, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key()), critical=False
        )
    )
    if not authority:
        purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
        builder = builder.add_extension(purpose, critical=False)
    return builder.sign(issuer, None)


def _subject(name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, DEVELOPMENT),
            x509.NameAttribute(NameOID.COMMON_NAME, f"{DEVELOPMENT}: {name}"),
        ]
    )
