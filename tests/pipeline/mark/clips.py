"""Finished outputs for tests of labels: encoded as a render does, then sealed."""

from __future__ import annotations

from pathlib import Path

from pipeline.mark.applying import seal, words
from pipeline.mark.certificate import development_identity
from pipeline.types import Marks, RenderSpec
from schemas.render import EngineFacts
from tests.pipeline.writing.calls import encode, speech

ENGINE = EngineFacts(name="viseme", version="0.1.0", revision="r1")
JOB = "order-4711"


def made(
    folder: Path,
    *,
    job_id: str = JOB,
    signed: bool = True,
    worded: bool = True,
    signing: Path | None = None,
) -> RenderSpec:
    """An output of ours and the spec it was made by; report of `seal` beside it on demand."""
    folder.mkdir(exist_ok=True)
    audio = speech(folder, 1.0)
    identity = development_identity(signing or folder / "identity") if signed else None
    video = folder / "reference.bin"
    video.write_bytes(b"reference")
    spec = RenderSpec(
        audio=audio.path,
        video=video,
        output=folder / "out.mp4",
        scratch=folder,
        job_id=JOB,
        marks=Marks(words=worded, identity=identity, consent={"given_by": "the person shown"}),
    )
    encode(spec.output, audio, 25, metadata=words(spec, ENGINE))
    return spec


def sealed(folder: Path, **how: object) -> Path:
    """The path of an output with all its labels."""
    spec = made(folder, **how)  # type: ignore[arg-type]
    seal(spec, ENGINE)
    return spec.output
