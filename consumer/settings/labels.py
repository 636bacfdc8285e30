"""Settings of the labels: what every MP4 says of where it comes from, and who signs that."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import field_validator, model_validator

from consumer.settings import checks, signer
from consumer.settings.fields import Group, env, given


class LabelSettings(Group):
    """Which labels are written."""

    label_container: bool = env(
        "F2F_LABEL_CONTAINER", True, "AIGC and IPTC text in the MP4's metadata"
    )
    label_producer: str | None = env(
        "F2F_LABEL_PRODUCER",
        None,
        "AIGC `ContentProducer`: the name or code under which you are registered; Face2Face where "
        "nothing is given",
        pattern=r"^[^\x00-\x1f\x7f]{1,128}$",
    )
    label_credentials: bool = env(
        "F2F_LABEL_C2PA", True, "a signed C2PA manifest in the MP4 (content credentials)"
    )
    label_watermark: bool = env(
        "F2F_LABEL_WATERMARK", True, "a digest of the job id in the picture, invisibly"
    )
    c2pa_certificate: Path | None = env(
        "F2F_C2PA_CERTIFICATE_PATH",
        None,
        "certificate chain (PEM) that signs; without one, a development certificate is made and "
        "named as such",
    )
    c2pa_key: Path | None = env(
        "F2F_C2PA_KEY_PATH", None, "its private key (PEM, PKCS #8, not encrypted)"
    )

    _signing_files = field_validator("c2pa_certificate", "c2pa_key")(given(checks.file))

    @model_validator(mode="after")
    def _labels_together(self) -> Self:
        if (self.c2pa_certificate is None) != (self.c2pa_key is None):
            raise ValueError("F2F_C2PA_CERTIFICATE_PATH and F2F_C2PA_KEY_PATH belong together")
        if self.c2pa_certificate is not None and self.c2pa_key is not None:
            signer.check(self.c2pa_certificate, self.c2pa_key)
        return self
