"""Content credentials: a signed C2PA manifest in the MP4, written and read through c2pa-python.

The manifest binds every byte of picture, sound and metadata by hashes, and names the engine, the
SHA-256 of both inputs, the job and the consent that was given. Source: C2PA technical
specification 2.x. Its assertions carry random salts that the library lets nobody fix, so that two
signatures of the same file differ in about 200 bytes; everything else stays the same.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import c2pa

from pipeline.errors import EngineFailed
from pipeline.file_digest import sha256_of
from pipeline.mark.certificate import DEVELOPMENT
from pipeline.mark.words import PRODUCER, source_type
from pipeline.types import Identity
from schemas.codes import Stage
from schemas.render import EngineFacts

ASSERTION = "org.face2face.render"
"""Label of the assertion with what C2PA has no field for."""
_TOLD = {"job_id": str, "engine": dict, "inputs": dict, "labels": dict, "consent": dict}
"""What is read of it; anybody can sign something else under that label."""
_FORMAT = "video/mp4"
_INTEGERS = 1 << 63
_COPY_MB = 16
"""A larger file is copied in the temporary folder (TMPDIR) while it is signed, not in memory."""
_SETTINGS = {
    "core": {"allowed_network_hosts": [], "backing_store_memory_threshold_in_mb": _COPY_MB},
    "builder": {"thumbnail": {"enabled": False}},
    # What was signed is read back by `pipeline.writing.verify` and `reading`; no file is fetched
    # for it.
    "verify": {"verify_after_sign": False, "ocsp_fetch": False, "remote_manifest_fetch": False},
}


@dataclass(frozen=True, slots=True)
class Origin:
    """What a manifest tells about a render."""

    engine: EngineFacts
    job_id: str | None
    inputs: dict[str, Path]
    """Audio and video, whose SHA-256 are written down."""
    consent: dict[str, Any] | None
    labels: dict[str, Any]
    """The other labels, which of them are on and which are not."""


def sign(path: Path, origin: Origin, identity: Identity, scratch: Path) -> dict[str, Any]:
    """Put a signed manifest into an MP4, in place. Costs one copy of the file and its hash.

    Returns:
        `algorithm`, `certificate` ("development, not trusted" or "given"), `manifest` (its label),
        `inputs` (name → SHA-256).

    Raises:
        EngineFailed: the library refuses the certificate or the file.
        OSError: the disk is full.
    """
    inputs = {name: sha256_of(file) for name, file in sorted(origin.inputs.items())}
    draft = scratch / f"{path.name}.signed"
    try:
        info = c2pa.C2paSignerInfo(identity.algorithm, identity.chain, identity.key, None)
        signer = c2pa.Signer.from_info(info)
        context = c2pa.Context(c2pa.Settings.from_dict(_SETTINGS))
        builder = c2pa.Builder(_manifest(origin, inputs), context=context)
        with path.open("rb") as source, draft.open("w+b") as target:
            builder.sign(signer, _FORMAT, source, target)
        signer.close()
        draft.replace(path)
    except c2pa.C2paError as error:
        raise EngineFailed(
            f"signing the content credentials failed: {error}", stage=Stage.MARK
        ) from error
    finally:
        draft.unlink(missing_ok=True)
    return {
        "algorithm": identity.algorithm,
        "certificate": "development, not trusted" if identity.development else "given",
        "inputs": inputs,
    }


def _manifest(origin: Origin, inputs: dict[str, str]) -> dict[str, Any]:
    engine = origin.engine
    agent = {"name": f"{PRODUCER} {engine.name}", "version": engine.revision}
    kind = source_type(engine.name)
    edit = "the mouth region of the reference was synthesised to follow the speech"
    actions = [
        {"action": "c2pa.created", "digitalSourceType": kind, "softwareAgent": agent},
        {
            "action": "c2pa.edited",
            "digitalSourceType": kind,
            "softwareAgent": agent,
            "parameters": {"description": edit},
        },
    ]
    facts: dict[str, Any] = {
        "engine": {"name": engine.name, "version": engine.version, "revision": engine.revision},
        "inputs": {name: {"sha256": digest} for name, digest in inputs.items()},
        "labels": origin.labels,
    }
    if origin.job_id is not None:
        facts["job_id"] = origin.job_id
    if origin.consent is not None:
        facts["consent"] = _writable(origin.consent)
    return {
        "claim_generator_info": [{"name": PRODUCER, "version": engine.version}],
        "title": f"{origin.job_id or 'render'}.mp4",
        "format": _FORMAT,
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": actions}},
            {"label": ASSERTION, "data": facts},
        ],
    }


def _writable(value: Any) -> Any:
    """JSON with the digits of integers that the library refuses (above 63 bits) or rounds."""
    if isinstance(value, dict):
        return {key: _writable(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_writable(inner) for inner in value]
    if isinstance(value, int) and not -_INTEGERS <= value < _INTEGERS:
        return str(value)
    return value


def read_credentials(path: Path, anchors: str | None = None) -> dict[str, Any]:
    """What the manifest in a file says, and whether it holds.

    Args:
        anchors: PEM certificates to trust.

    Returns:
        `status` verified (ours; every hash and the signature hold), broken (it does not hold, or
        cannot be read), foreign (it holds, and another producer made it) or absent; where there is
        one: `job_id`, `producer`, `engine`, `inputs`, `labels`, `consent`, `signed_by`, `trust`
        (trusted, development, untrusted) or `reasons` (C2PA status codes).
    """
    settings: dict[str, Any] = dict(_SETTINGS)
    if anchors is not None:
        settings["trust"] = {"trust_anchors": anchors}
    try:
        context = c2pa.Context(c2pa.Settings.from_dict(settings))
        reader = c2pa.Reader.try_create(path, context=context)
        if reader is None:
            return {"status": "absent"}
        with reader:
            store = json.loads(reader.json())
    except c2pa.C2paError as error:
        return _unreadable(error)
    return _judge(store)


def _unreadable(error: c2pa.C2paError) -> dict[str, Any]:
    """No C2PA data, or a kind of file that cannot hold it, is no damage."""
    text = str(error)
    if text.startswith(("NotSupported", "ManifestNotFound", "Io", "InvalidAsset")) or (
        "JumbfNotFound" in text or "ManifestNotFound" in text
    ):
        return {"status": "absent"}
    return {"status": "broken", "reasons": [text[:300]]}


def _judge(store: dict[str, Any]) -> dict[str, Any]:
    active = store.get("manifests", {}).get(store.get("active_manifest"), {})
    told = _told(active)
    failures = [
        entry["code"]
        for entry in store.get("validation_results", {})
        .get("activeManifest", {})
        .get("failure", [])
    ]
    untrusted = "signingCredential.untrusted" in failures
    reasons = [code for code in failures if code != "signingCredential.untrusted"]
    if reasons or not active:
        return {
            "status": "broken",
            "reasons": sorted(set(reasons)) or ["no active manifest"],
        } | told
    issuer = active.get("signature_info", {}).get("issuer", "")
    trust = "untrusted" if untrusted else "trusted"
    if untrusted and issuer == DEVELOPMENT:
        trust = "development"
    status = "verified" if told.get("producer") == PRODUCER else "foreign"
    return {"status": status, "trust": trust, "signed_by": issuer} | told


def _told(active: dict[str, Any]) -> dict[str, Any]:
    generators = active.get("claim_generator_info") or [{}]
    told: dict[str, Any] = {"producer": generators[0].get("name", "")}
    for assertion in active.get("assertions", []):
        data = assertion.get("data")
        if not isinstance(data, dict):
            continue
        if assertion.get("label") == ASSERTION:
            told |= {
                key: data[key] for key, kind in _TOLD.items() if isinstance(data.get(key), kind)
            }
        if str(assertion.get("label", "")).startswith("c2pa.actions"):
            kinds = [a.get("digitalSourceType") for a in data.get("actions", [])]
            told["digital_source_type"] = next((kind for kind in kinds if kind), None)
    return told
