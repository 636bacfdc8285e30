"""The command line keeps its promises to scripts: streams, exit codes, one JSON object."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import click
import pytest

from consumer import cli
from consumer.local.console import CommandError, exit_code
from schemas.codes import ErrorCode, Stage, facts
from tests.consumer.command_line import error_of, face2face, only_object
from tests.support.processes import free_port

HEAVY = {"torch", "numpy", "av", "PIL", "pipeline", "confluent_kafka", "moto"}


def test_help_names_every_command_without_importing_one() -> None:
    code = (
        "import sys; from consumer.cli import cli; cli(['--help'], standalone_mode=False);"
        "print(*sys.modules, sep=',')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    *helped, modules = done.stdout.splitlines()
    named = {line.split()[0] for line in helped if re.match(r"  [a-z]", line)}
    assert set(cli._COMMANDS) <= named
    assert not [name for name in modules.split(",") if name.startswith("consumer.commands.")]


def test_a_mistyped_command_is_told_the_one_that_may_be_meant() -> None:
    done = face2face("rendr")
    assert done.returncode == 2
    assert "No such command 'rendr'. Is 'render' meant?" in done.stderr
    assert "meant" not in face2face("xyz").stderr


@pytest.mark.parametrize("name", cli._COMMANDS)
def test_every_command_can_be_called_and_takes_json(name: str) -> None:
    module, _, attribute = cli._COMMANDS[name][0].partition(":")
    command = getattr(import_module(f"consumer.commands.{module}"), attribute)
    leaves = list(command.commands.values()) if isinstance(command, click.Group) else [command]
    for leaf in leaves:
        options = {option for parameter in leaf.params for option in parameter.opts}
        assert "--json" in options, leaf.name
        assert leaf.help, leaf.name


@pytest.mark.parametrize(
    "module", ["consumer.cli", "consumer.kafka.client", "consumer.kafka.topics_apply"]
)
def test_a_light_module_loads_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print(*sys.modules, sep=',')"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    loaded = {name.partition(".")[0] for name in done.stdout.strip().split(",")}
    assert not loaded & HEAVY


def test_a_wrong_option_is_exit_code_2_with_its_name() -> None:
    done = face2face("render", "--audio", "a.wav")
    assert done.returncode == 2
    assert done.stdout == ""
    assert "--video" in done.stderr


def test_a_wrong_option_is_one_json_object_when_asked_for() -> None:
    done = face2face("render", "--audio", "a.wav", "--json")
    assert done.returncode == 2
    error = error_of(done)
    assert error["code"] == "INVALID_REQUEST"
    assert set(error) == {"code", "stage", "message", "detail"}


def test_a_missing_file_can_never_work_and_says_which(tmp_path: Path) -> None:
    missing = str(tmp_path / "none.wav")
    done = face2face("render", "--audio", missing, "--video", "v", "-o", "o.mp4", "--json")
    assert done.returncode == 2
    error = error_of(done)
    assert error["code"] == "INPUT_NOT_FOUND"
    assert error["detail"] == {"option": "--audio", "path": missing}
    assert missing in done.stderr


def test_a_demo_whose_mp4_could_not_be_kept_is_not_begun(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_bytes(b"")
    done = face2face("demo", "-o", str(taken / "demo.mp4"))
    assert done.returncode == 2
    assert "which is no folder" in done.stderr
    assert "starting" not in done.stderr


@pytest.mark.parametrize("missing", ["--audio", "--video"])
def test_a_missing_file_is_said_before_the_other_one_is_sent(tmp_path: Path, missing: str) -> None:
    present = tmp_path / "there.wav"
    present.write_bytes(b"speech")
    given = {"--audio": str(present), "--video": str(present), missing: str(tmp_path / "none.mp4")}
    options = [word for pair in given.items() for word in pair]
    nowhere = {
        "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{free_port()}",
        "S3_ENDPOINT": f"http://127.0.0.1:{free_port()}",
    }
    done = face2face("submit", *options, "--json", env=nowhere)
    assert done.returncode == 2, done.stderr
    assert "none.mp4" in str(error_of(done))


def test_a_setting_that_cannot_work_is_named_and_its_secret_is_not_shown() -> None:
    env = {"F2F_SLOTS": "many", "S3_BUCKET": "NO", "S3_SECRET_KEY": "hunter2"}
    done = face2face("topics", "apply", "--json", env=env)
    assert done.returncode == 2
    error = error_of(done)
    assert "F2F_SLOTS = 'many'" in str(error["message"])
    assert "S3_BUCKET = 'NO'" in str(error["message"])
    assert "hunter2" not in done.stdout + done.stderr


def test_a_gpu_that_was_not_given_is_said_before_any_broker_is_waited_for() -> None:
    nobody = f"127.0.0.1:{free_port()}"
    env = {"F2F_DEVICES": "2", "CUDA_VISIBLE_DEVICES": "2,3", "KAFKA_BOOTSTRAP_SERVERS": nobody}
    done = face2face("run", env=env, timeout_s=120)
    assert done.returncode == 2
    assert "F2F_DEVICES = '2': CUDA_VISIBLE_DEVICES = '2,3' shows 2 GPU(s)" in done.stderr


def test_no_broker_is_exit_code_1_and_says_the_address() -> None:
    address = f"127.0.0.1:{free_port()}"
    done = face2face("topics", "apply", "--json", env={"KAFKA_BOOTSTRAP_SERVERS": address})
    assert done.returncode == 1
    error = error_of(done)
    assert error["code"] == "BROKER_UNAVAILABLE"
    assert address in str(error["message"])


def test_only_what_can_never_work_is_exit_code_2() -> None:
    twos = {code for code in ErrorCode if exit_code(code) == 2}
    assert not [code for code in twos if facts(code).retryable]
    assert {ErrorCode.STORE_DENIED, ErrorCode.CANCELLED}.isdisjoint(twos)
    assert ErrorCode.NO_FACE in twos


def test_a_foreseen_error_carries_the_advice_of_its_code() -> None:
    error = CommandError.of(ErrorCode.NO_FACE, Stage.TRACK, "no face in 'v.mp4'.", frames=3).error
    assert error.message.startswith("no face in 'v.mp4'. Send a reference")
    assert error.detail == {"frames": 3}


def test_the_contact_sheet_of_a_missing_file_can_never_be_drawn(tmp_path: Path) -> None:
    done = face2face("inspect", str(tmp_path / "none.mp4"), "--json")
    assert done.returncode == 2
    assert "none.mp4" in str(error_of(done))


@pytest.mark.slow
def test_render_prints_the_promised_object_and_the_file_is_measured_alike(
    tmp_path: Path,
) -> None:
    assets = Path(cli.__file__).parent / "demo_assets"
    mp4 = tmp_path / "out.mp4"
    inputs = ("--audio", str(assets / "speech.flac"), "--video", str(assets / "reference.mp4"))
    job = ("--job-id", "measured-alike")  # each id marks the picture otherwise, and is measured so
    done = face2face("render", *inputs, *job, "-o", str(mp4), "--json", timeout_s=280)
    assert done.returncode == 0, done.stderr
    report = only_object(done.stdout)
    promised = "frames fps duration_s width height engine timings_ms quality spans"
    assert set(promised.split()) <= set(report)
    assert mp4.stat().st_size > 10_000
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"], "no scratch is left"

    done = face2face("inspect", str(mp4), *inputs[:2], "--json", timeout_s=280)
    assert done.returncode == 0, done.stderr
    figures = only_object(done.stdout)
    assert figures["frames"] == report["frames"]
    assert (tmp_path / "out.png").read_bytes().startswith(b"\x89PNG")

    given = ("--reference", inputs[3], *inputs[:2])
    done = face2face("evaluate", str(mp4), *given, "--json", timeout_s=280)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["video"]["frames"] == report["frames"]
    value = {name: measure["value"] for name, measure in told["measures"].items()}
    assert value["aperture_best_r"] > 0.9
    assert abs(value["aperture_lag_frames"]) <= 1
    assert value["closures"] >= 5
    # The tracker sees these smiling, closed lips up to .025 io apart, where the limit is .0253.
    assert (1 - value["closure_rate"]) * value["closures"] < 1.5
    assert value["outside_psnr_db"] > 40
    quality = report["quality"]
    assert isinstance(quality, dict)
    for name in ("start_difference_ms", "end_difference_ms"):
        assert value[name] == quality[name]


@pytest.mark.parametrize("command", ["render", "inspect", "evaluate"])
@pytest.mark.parametrize("name", ["tpu", "cuda:x", "cpu:1", "cuda:999"])
def test_a_device_that_is_none_or_not_here_is_refused_by_name(command: str, name: str) -> None:
    assets = Path(cli.__file__).parent / "demo_assets"
    video, audio = str(assets / "reference.mp4"), str(assets / "speech.flac")
    files = ("--video", video, "--audio", audio, "-o", "never-written.mp4")
    given = files if command == "render" else (video,)
    done = face2face(command, *given, "--device", name, "--json")
    error = error_of(done)
    never = name != "cuda:999"
    assert (done.returncode, error["code"]) == (
        (2, "INVALID_REQUEST") if never else (1, "ENGINE_UNAVAILABLE")
    )
    assert f"--device '{name}'" in error["message"]
    assert "Traceback" not in done.stderr


def test_a_render_that_names_no_engine_takes_the_one_of_the_setting(tmp_path: Path) -> None:
    assets = Path(cli.__file__).parent / "demo_assets"
    inputs = ("--audio", str(assets / "speech.flac"), "--video", str(assets / "reference.mp4"))
    nowhere = {"F2F_ENGINE": "wav2lip", "F2F_WEIGHTS_DIR": str(tmp_path / "weights")}
    done = face2face("render", *inputs, "-o", str(tmp_path / "o.mp4"), "--json", env=nowhere)
    error = error_of(done)
    assert error["code"] == "WEIGHTS_MISSING"
    assert "wav2lip" in error["message"]


@pytest.mark.slow
def test_an_input_that_is_no_media_can_never_work(tmp_path: Path) -> None:
    text = tmp_path / "face.mp4"
    text.write_text("this is not a video " * 100, encoding="utf-8")
    assets = Path(cli.__file__).parent / "demo_assets"
    done = face2face(
        *("render", "--audio", str(assets / "speech.flac"), "--video", str(text)),
        *("-o", str(tmp_path / "out.mp4"), "--json"),
    )
    assert done.returncode == 2, done.stderr
    error = error_of(done)
    assert error["code"] == "INPUT_UNREADABLE"
    assert [path.name for path in tmp_path.iterdir()] == ["face.mp4"]


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252"])
def test_a_terminal_that_lacks_letters_still_gets_every_answer(encoding: str) -> None:
    env = {"PYTHONIOENCODING": encoding}
    done = face2face("detect", "--json", "名前 😀.mp4", env=env)
    error = error_of(done)
    assert error["code"] == "INPUT_NOT_FOUND"
    assert "名前 😀.mp4" in error["message"]
    done = face2face("doctor", env={**env, "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"})
    assert "\\u2192 Start the brokers" in done.stdout


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("arguments", ["--help", "engines --json"])
def test_where_nobody_can_hear_the_answer_no_traceback_is_shown(
    arguments: str, unbuffered: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """stdout on a full disk is an error to act on; closed, it was not wanted."""
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)  # else Python tries once more at its exit
    command = [sys.executable, "-m", "consumer.cli", *arguments.split()]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=120, check=False
        )
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert "Exception ignored" not in done.stderr
    assert "SCRATCH_FULL (store): no room for the output" in done.stderr
    closed = ["sh", "-c", 'exec "$@" >&-', "sh", *command]
    done = subprocess.run(closed, stderr=subprocess.PIPE, text=True, timeout=120, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False)


@pytest.mark.parametrize("seconds", ["nan", "inf", "0"])
def test_a_patience_that_is_no_time_is_refused(seconds: str) -> None:
    files = ("--audio", "s3://b/a", "--video", "s3://b/v")
    done = face2face("submit", *files, "--timeout", seconds)
    assert done.returncode == 2
    assert "--timeout" in done.stderr
