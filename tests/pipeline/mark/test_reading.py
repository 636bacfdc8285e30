"""What was put on is read back, tampering is called broken, and files of others carry nothing."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import c2pa
import pytest

from pipeline.errors import InputError
from pipeline.mark.applying import seal
from pipeline.mark.certificate import development_identity
from pipeline.mark.credentials import ASSERTION
from pipeline.mark.reading import read_labels
from pipeline.mark.words import TRAINED
from pipeline.reading.probe import probe_audio
from pipeline.timeline import Timeline
from pipeline.types import Limits
from pipeline.writing.verify import verify
from tests.pipeline.mark.clips import ENGINE, JOB, made, sealed
from tests.pipeline.writing.calls import encode, speech
from tests.support.media import Tone, write_sound


def test_finished_file_carries_verified_layers_that_name_the_job(tmp_path: Path) -> None:
    labels = read_labels(sealed(tmp_path))
    assert (labels["found"], labels["job_id"]) == (True, JOB)
    assert {name: layer["status"] for name, layer in labels["layers"].items()} == {
        "container": "verified",
        "c2pa": "verified",
        "watermark": "absent",
    }


def test_signed_manifest_names_engine_inputs_and_consent(tmp_path: Path) -> None:
    spec = made(tmp_path)
    report = seal(spec, ENGINE)
    layer = read_labels(spec.output)["layers"]["c2pa"]
    assert layer["engine"] == {"name": "viseme", "version": "0.1.0", "revision": "r1"}
    assert layer["consent"] == {"given_by": "the person shown"}
    for name, path in (("audio", spec.audio), ("video", spec.video)):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        assert layer["inputs"][name]["sha256"] == digest == report["c2pa"]["inputs"][name]
    assert layer["trust"] == "development"
    assert report["c2pa"]["certificate"] == "development, not trusted"


@pytest.mark.parametrize("number", [2**63, 2**64 - 1, 10**30, -(2**63) - 1])
def test_consent_with_numbers_beyond_63_bits_is_signed_digit_by_digit(
    tmp_path: Path, number: int
) -> None:
    spec = made(tmp_path)
    consent = {"ids": [number, 7], "by": {"id": number, "small": -(2**63), "yes": True}}
    spec = replace(spec, marks=replace(spec.marks, consent=consent))
    seal(spec, ENGINE)
    layer = read_labels(spec.output)["layers"]["c2pa"]
    assert layer["status"] == "verified"
    small = {"id": str(number), "small": -(2**63), "yes": True}
    assert layer["consent"] == {"ids": [str(number), 7], "by": small}


def test_signer_is_trusted_where_his_root_is_given(tmp_path: Path) -> None:
    spec = made(tmp_path)
    seal(spec, ENGINE)
    assert spec.marks.identity is not None
    root = spec.marks.identity.chain.decode()
    assert read_labels(spec.output, root)["layers"]["c2pa"]["trust"] == "trusted"


def test_signing_leaves_picture_sound_and_clock_as_they_were(tmp_path: Path) -> None:
    spec = made(tmp_path)
    before = _packets(spec.output)
    seal(spec, ENGINE)
    assert _packets(spec.output) == before
    audio = probe_audio(spec.audio, Limits())
    verify(spec.output, Timeline.fit(audio.duration, Fraction(25), 25), audio)


def _packets(path: Path) -> list[tuple[int, int | None, bytes]]:
    with av.open(str(path)) as container:
        return [(p.stream_index, p.pts, bytes(p)) for p in container.demux()]


def test_one_changed_byte_of_the_picture_breaks_the_seal(tmp_path: Path) -> None:
    path = sealed(tmp_path)
    data = bytearray(path.read_bytes())
    data[data.index(b"mdat") + 2000] ^= 1
    path.write_bytes(data)
    labels = read_labels(path)
    assert labels["found"]
    assert labels["layers"]["c2pa"]["status"] == "broken"
    assert "assertion.bmffHash.mismatch" in labels["layers"]["c2pa"]["reasons"]


def test_another_job_id_written_into_the_container_breaks_the_seal(tmp_path: Path) -> None:
    path = sealed(tmp_path)
    data = path.read_bytes()
    head, _, metadata = data.partition(b'"ProduceID":"')
    path.write_bytes(head + b'"ProduceID":"' + b"x" + metadata[1:])
    labels = read_labels(path)
    assert labels["layers"]["c2pa"]["status"] == "broken"
    assert labels["layers"]["container"]["status"] == "broken"
    assert labels["job_id"] is None


def test_job_id_changed_in_the_manifest_breaks_the_seal(tmp_path: Path) -> None:
    path = sealed(tmp_path, worded=False)
    data = path.read_bytes()
    at = data.index(b"fjob_id") if b"fjob_id" in data else data.index(b"job_id")
    at = data.index(JOB.encode(), at)
    path.write_bytes(data[:at] + b"X" + data[at + 1 :])
    labels = read_labels(path)
    assert labels["layers"]["c2pa"]["status"] == "broken"
    assert (labels["found"], labels["job_id"]) == (True, None)


@pytest.mark.parametrize("keep_comment", [True, False])
def test_reencoded_file_has_lost_its_seal(tmp_path: Path, keep_comment: bool) -> None:
    path = sealed(tmp_path)
    again = _reencode(path, tmp_path / "again.mp4", keep_comment)
    labels = read_labels(again)
    assert labels["layers"]["c2pa"]["status"] == "absent"
    assert labels["layers"]["container"]["status"] == ("found" if keep_comment else "absent")
    assert labels["job_id"] == (JOB if keep_comment else None)


def _reencode(path: Path, target: Path, keep_comment: bool) -> Path:
    """As a common converter does: new pictures, and of the words only those of iTunes."""
    with av.open(str(path)) as source, av.open(str(target), "w") as output:
        if keep_comment:
            output.metadata["comment"] = source.metadata["comment"]
        stream = output.add_stream("libx264", rate=25, options={"crf": "28"})
        stream.width, stream.height, stream.pix_fmt = 192, 128, "yuv420p"
        for frame in source.decode(video=0):
            output.mux(stream.encode(frame.reformat(format="yuv420p")))
        output.mux(stream.encode(None))
    return target


@pytest.mark.parametrize(("signed", "worded"), [(False, True), (True, False), (False, False)])
def test_what_is_switched_off_is_absent_and_reported_as_off(
    tmp_path: Path, signed: bool, worded: bool
) -> None:
    spec = made(tmp_path, signed=signed, worded=worded)
    report = seal(spec, ENGINE)
    assert (report["c2pa"] == "off", report["container"] == "off") == (not signed, not worded)
    labels = read_labels(spec.output)
    assert labels["layers"]["c2pa"]["status"] == ("verified" if signed else "absent")
    assert (labels["layers"]["container"]["status"] != "absent") == worded
    assert labels["found"] == (signed or worded)


def test_files_of_others_carry_nothing(tmp_path: Path) -> None:
    audio = speech(tmp_path, 0.4)
    words = [{}, {"comment": "holiday"}, {"title": "AIGC", "artist": "Face2Face"}]
    files = [
        encode(tmp_path / f"{n}.mp4", audio, 10, metadata=text) for n, text in enumerate(words)
    ]
    files.append(write_sound(tmp_path / "own.m4a", Tone(0.5)))
    files.append(audio.path)
    for path in files:
        labels = read_labels(path)
        assert (labels["found"], labels["job_id"]) == (False, None), path
        assert {layer["status"] for layer in labels["layers"].values()} == {"absent"}, path


@pytest.mark.parametrize("data", [["job_id"], {"job_id": 5, "engine": None, "labels": "all"}])
def test_what_others_sign_under_our_label_is_told_only_where_it_is_of_its_kind(
    tmp_path: Path, data: object
) -> None:
    identity = development_identity(tmp_path / "identity")
    info = c2pa.C2paSignerInfo(identity.algorithm, identity.chain, identity.key, None)
    created = {"action": "c2pa.created", "digitalSourceType": TRAINED}
    assertions = [
        {"label": "c2pa.actions.v2", "data": {"actions": [created]}},
        {"label": ASSERTION, "data": data},
    ]
    context = c2pa.Context(c2pa.Settings.from_dict({"verify": {"verify_after_sign": False}}))
    named = {"claim_generator_info": [{"name": "Somebody"}], "assertions": assertions}
    plain = encode(tmp_path / "plain.mp4", speech(tmp_path, 0.4), 10, metadata={"title": "a film"})
    path = tmp_path / "out.mp4"
    with plain.open("rb") as source, path.open("w+b") as target:
        builder = c2pa.Builder(named, context=context)
        builder.sign(c2pa.Signer.from_info(info), "video/mp4", source, target)
    labels = read_labels(path)
    assert (labels["found"], labels["job_id"]) == (False, None)
    layer = labels["layers"]["c2pa"]
    assert (layer["status"], layer["producer"]) == ("foreign", "Somebody")
    assert not {"job_id", "engine", "labels"} & set(layer)


def test_what_is_no_media_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "letter.mp4"
    path.write_text("Dear Sir or Madam")
    with pytest.raises(InputError, match=r"letter\.mp4|not media|cannot"):
        read_labels(path)


@pytest.mark.parametrize("signed", [True, False])
def test_same_job_without_seal_is_the_same_file(tmp_path: Path, signed: bool) -> None:
    """With a seal only the manifest differs: its salts are random, its length is not.

    Of one signer: certificates that are made anew differ in length by a byte or two.
    """
    first, second = (
        sealed(tmp_path / n, signed=signed, signing=tmp_path / "signing").read_bytes()
        for n in ("a", "b")
    )
    assert len(first) == len(second)
    if not signed:
        assert first == second
    assert first[first.index(b"moov") :] == second[second.index(b"moov") :]
