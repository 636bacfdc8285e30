"""The container's text names producer and job by the fields of the standards, and is read back."""

from __future__ import annotations

import json
from pathlib import Path

import av
import pytest

from pipeline.mark.words import AIGC_FIELDS, SAMPLED, TRAINED, container_metadata, read_words
from tests.pipeline.writing.calls import encode, speech


def test_aigc_text_has_the_seven_fields_of_the_standard_in_their_order() -> None:
    aigc = json.loads(container_metadata("job-1", "viseme", "r1")["AIGC"])
    assert tuple(aigc) == AIGC_FIELDS
    assert (aigc["Label"], aigc["ContentProducer"], aigc["ProduceID"]) == (
        "1",
        "Face2Face",
        "job-1",
    )


def test_source_type_says_trained_only_where_a_network_made_the_pixels() -> None:
    assert container_metadata("j", "viseme", "r")["digitalSourceType"] == SAMPLED
    for engine in ("musetalk", "wav2lip", "duix"):
        assert container_metadata("j", engine, "r")["digitalSourceType"] == TRAINED


def test_words_survive_in_the_mp4(tmp_path: Path) -> None:
    wanted = container_metadata("order-4711", "viseme", "r1")
    path = encode(tmp_path / "out.mp4", speech(tmp_path, 0.4), 10, metadata=wanted)
    with av.open(str(path)) as container:
        assert {key: container.metadata.get(key) for key in wanted} == wanted
        layer = read_words(dict(container.metadata))
    assert (layer["status"], layer["job_id"]) == ("found", "order-4711")


def test_comment_alone_still_names_the_job() -> None:
    comment = container_metadata("order-4711", "viseme", "r1")["comment"]
    layer = read_words({"comment": comment})
    assert (layer["status"], layer["job_id"], layer["comment_only"]) == (
        "found",
        "order-4711",
        True,
    )


@pytest.mark.parametrize("job_id", ["order-4711", None])
def test_an_operator_registered_elsewhere_is_the_producer_and_the_file_is_still_ours(
    job_id: str | None,
) -> None:
    made = container_metadata(job_id, "viseme", "r1", "001191110108MA01XXXXXX")
    assert json.loads(made["AIGC"])["ContentProducer"] == "001191110108MA01XXXXXX"
    layer = read_words(made)
    assert (layer["status"], layer.get("job_id")) == ("found", job_id)
    assert layer["producer"] == "001191110108MA01XXXXXX"
    elsewhere = made | {"AIGC": made["AIGC"].replace('"ProduceID":"', '"ProduceID":"x')}
    assert read_words(elsewhere)["status"] == "foreign"


def test_a_file_of_an_operator_that_was_put_into_matroska_is_still_ours(tmp_path: Path) -> None:
    wanted = container_metadata("order-4711", "viseme", "r1", "001191110108MA01XXXXXX")
    made = encode(tmp_path / "out.mp4", speech(tmp_path, 0.4), 10, metadata=wanted)
    with av.open(str(made)) as source, av.open(str(tmp_path / "out.mkv"), "w") as target:
        target.metadata.update(source.metadata)
        (video,) = source.streams.video
        copy = target.add_stream_from_template(video)
        for packet in source.demux(video):
            if packet.dts is not None:
                packet.stream = copy
                target.mux(packet)
    with av.open(str(tmp_path / "out.mkv")) as container:
        layer = read_words(dict(container.metadata))
    assert (layer["status"], layer["job_id"]) == ("found", "order-4711")
    assert layer["digital_source_type"] == SAMPLED


@pytest.mark.parametrize(
    ("metadata", "status"),
    [
        ({}, "absent"),
        ({"comment": "holiday"}, "absent"),
        ({"digitalSourceType": TRAINED}, "absent"),
        ({"AIGC": "{"}, "broken"),
        ({"AIGC": '["Label"]'}, "broken"),
        ({"AIGC": '{"Label": "1"}'}, "broken"),
        ({"AIGC": "[" * 200_000}, "broken"),
        ({"AIGC": '{"Label":' * 200_000}, "broken"),
        (
            {"AIGC": '{"Label":"1","ContentProducer":"Face2Face","ProduceID":"\\ud800"}'},
            "broken",
        ),
        (
            {"AIGC": '{"Label":"1","ContentProducer":"Face2Face","ProduceID":"\\u001b[2J"}'},
            "broken",
        ),
        ({"AIGC": '{"Label":"1","ContentProducer":"0011","ProduceID":"x"}'}, "foreign"),
        ({"AIGC": '{"AIGC":{"Label":"1","ContentProducer":"Face2Face","ProduceID":"x"}}'}, "found"),
    ],
)
def test_other_texts_are_judged_as_what_they_are(metadata: dict[str, str], status: str) -> None:
    assert read_words(metadata)["status"] == status


def test_comment_and_aigc_that_name_different_jobs_are_broken() -> None:
    words = container_metadata("job-1", "viseme", "r1")
    words["AIGC"] = words["AIGC"].replace("job-1", "job-2")
    assert read_words(words)["status"] == "broken"
