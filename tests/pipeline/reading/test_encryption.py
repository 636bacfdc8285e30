"""Encrypted films and sounds are called so; what is not encrypted is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.errors import InputUnreadable
from pipeline.reading.probe import probe_audio, probe_video
from pipeline.types import Limits
from schemas.request import RenderOptions
from tests.support.media import Clip, Tone, write_clip

KEY = {
    "encryption_scheme": "cenc-aes-ctr",
    "encryption_key": "00112233445566778899aabbccddeeff",
    "encryption_kid": "ffeeddccbbaa99887766554433221100",
}


@pytest.mark.parametrize("flags", ["faststart", "frag_keyframe+empty_moov"])
def test_an_encrypted_film_and_its_sound_are_refused_by_name(tmp_path: Path, flags: str) -> None:
    clip = Clip(frames=12, sound=Tone(1.0), muxer={**KEY, "movflags": flags})
    path = write_clip(tmp_path / "film.mp4", clip)
    with pytest.raises(InputUnreadable, match=r"its video is encrypted \(DRM\).*without"):
        probe_video(path, Limits(), RenderOptions())
    with pytest.raises(InputUnreadable, match=r"its audio is encrypted \(DRM\).*without"):
        probe_audio(path, Limits())


@pytest.mark.parametrize("name", [b"encv", b"drmi", b"enca", b"drms", b"aavd"])
def test_a_track_alone_may_be_encrypted_and_the_other_one_is_read(
    tmp_path: Path, name: bytes
) -> None:
    path = write_clip(tmp_path / "film.mov", Clip(frames=12, sound=Tone(1.0)))
    film = name in (b"encv", b"drmi")
    path.write_bytes(path.read_bytes().replace(b"avc1" if film else b"mp4a", name))
    if film:
        assert probe_audio(path, Limits()).channels == 2
        with pytest.raises(InputUnreadable, match="its video is encrypted"):
            probe_video(path, Limits(), RenderOptions())
    else:
        assert probe_video(path, Limits(), RenderOptions()).frames == 12
        with pytest.raises(InputUnreadable, match="its audio is encrypted"):
            probe_audio(path, Limits())
