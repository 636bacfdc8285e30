"""Names in the environment that set nothing: typing errors, and settings of what is not in use.

They are said and never refused: a platform may put names of its own beside ours.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from difflib import get_close_matches

from consumer.settings import Settings

_OURS = "F2F_"
"""Whatever begins so is meant for us."""
_SHARED = ("KAFKA_", "S3_", "DUIX_", "CLEANUP_", "PERIODIC_", "MAX_FILE")
"""Beginnings that other programs use too: a name counts when it is nearly one of ours."""
_BESIDE = frozenset({"F2F_WEIGHTS_DIR", "F2F_SIGNING_DIR", "F2F_TORCH_INDEX"})
"""Read elsewhere (`consumer.caches`, the Makefile)."""
_TESTS = ("F2F_TEST_", "F2F_MEDIA", "F2F_SEED", "F2F_CHAOS", "F2F_SERVER_CACHE")
"""Beginnings of what the tests read."""
_PROTOCOL = "KAFKA_SECURITY_PROTOCOL"
_IDLE = {
    "KAFKA_SASL_USERNAME": ("SASL", "SASL_SSL or SASL_PLAINTEXT"),
    "KAFKA_SASL_PASSWORD": ("SASL", "SASL_SSL or SASL_PLAINTEXT"),
    "KAFKA_SSL_CA_FILE": ("SSL", "SSL or SASL_SSL"),
}
"""Settings that only some protocols use → what those have in their name, and which they are."""
_NEAR, _VERY_NEAR = 0.75, 0.88
"""Likeness (difflib's ratio) from which on a name is taken for one of ours."""


def unknown_names(environ: Mapping[str, str] | None = None) -> list[str]:
    """What each name that sets nothing is, in a sentence with the name that may be meant."""
    environ = os.environ if environ is None else environ
    known = [str(field.validation_alias) for field in Settings.model_fields.values()]
    every = {*known, *(f"{name}_FILE" for name in known), *_BESIDE}
    lines: list[str] = []
    for name in sorted(environ):
        if name in every or name.startswith(_TESTS):
            continue
        ours = name.startswith(_OURS)
        if not ours and not name.startswith(_SHARED):
            continue
        near = get_close_matches(name, [*known, *_BESIDE], 1, _NEAR if ours else _VERY_NEAR)
        if near and (ours or near[0] not in environ):
            lines.append(f"{name} is no setting and does nothing; {near[0]} is one")
        elif ours:
            lines.append(f"{name} is no setting and does nothing; see docs/operations.md, Settings")
    return lines + _idle(environ)


def _idle(environ: Mapping[str, str]) -> list[str]:
    """Settings of a protocol that is not spoken: the brokers would only close the connection."""
    if environ.get(f"{_PROTOCOL}_FILE"):
        return []
    protocol = environ.get(_PROTOCOL) or "PLAINTEXT"
    given = {
        name: next((each for each in (name, f"{name}_FILE") if environ.get(each)), None)
        for name in _IDLE
    }
    return [
        f"{found} does nothing while {_PROTOCOL} is {protocol}; {_IDLE[name][1]} uses it"
        for name, found in given.items()
        if found is not None and _IDLE[name][0] not in protocol
    ]
