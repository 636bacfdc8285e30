"""Settings come from one place, are refused by name, and never show a secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from consumer.settings import Settings, SettingsError
from consumer.settings.load import load


def test_an_empty_environment_gives_the_defaults() -> None:
    settings = load({})
    assert settings.kafka_servers == ("127.0.0.1:9092",)
    assert settings.s3_bucket == "face2face"
    assert settings.retry_delays_s == (10.0, 60.0)


def test_only_the_environment_that_was_handed_in_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_GROUP_ID", "of-the-process")
    assert load({}).kafka_group == "face2face"
    assert load({"KAFKA_GROUP_ID": "handed-in"}).kafka_group == "handed-in"
    assert load().kafka_group == "of-the-process"


def test_an_empty_value_is_as_good_as_none() -> None:
    assert load({"F2F_SLOTS": "", "S3_PUBLIC_ENDPOINT": ""}) == load({})


def test_lists_are_split_at_commas_and_trimmed() -> None:
    settings = load({"KAFKA_BOOTSTRAP_SERVERS": "a:1, b:2,", "F2F_RETRY_DELAYS_S": "1,2.5"})
    assert settings.kafka_servers == ("a:1", "b:2")
    assert settings.retry_delays_s == (1.0, 2.5)


def test_a_secret_comes_from_a_file_without_its_last_newline_and_is_never_shown(
    tmp_path: Path,
) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"hunter2\r\n")  # as an editor of Windows leaves it
    settings = load(
        {"S3_SECRET_KEY_FILE": str(secret), "S3_SECRET_KEY": "ignored", "S3_ACCESS_KEY": "who"}
    )
    assert settings.s3_secret_key.get_secret_value() == "hunter2"
    assert "hunter2" not in f"{settings!r} {settings} {settings.model_dump_json()}"


def test_a_file_that_cannot_be_read_is_said() -> None:
    with pytest.raises(SettingsError, match="S3_SECRET_KEY_FILE: cannot read '/nowhere/key'"):
        load({"S3_SECRET_KEY_FILE": "/nowhere/key"})


def test_a_file_that_was_written_elsewhere_may_end_its_lines_otherwise(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(b"hunter2\r\n")
    settings = load({"F2F_API_KEY_FILE": str(tmp_path / "key")})
    assert settings.api_key is not None
    assert settings.api_key.get_secret_value() == "hunter2"


def test_a_file_of_settings_may_end_its_lines_otherwise() -> None:
    """Containers are given them as they stand; a group of another name would begin anew."""
    written = {
        "KAFKA_GROUP_ID": "fleet\r",
        "S3_ENDPOINT": "http://minio:9000\r",
        "S3_ACCESS_KEY": "who\r",
        "S3_SECRET_KEY": "hunter2\r",
        "F2F_NVDEC": "false\r",
        "F2F_SLOTS": "auto\r",
        "F2F_API_KEY": "\r",
        "F2F_ALLOWED_HOSTS": "a.example,\n b.example\r",
    }
    clean = {name: value.rstrip("\r") for name, value in written.items()}
    assert load(written) == load(clean)


@pytest.mark.parametrize("content", ["", "\n", "\r\n"])
def test_an_empty_file_is_no_value(tmp_path: Path, content: str) -> None:
    """Least of all of a key: an empty one would be what every caller without a key has."""
    (tmp_path / "key").write_text(content, encoding="utf-8")
    with pytest.raises(SettingsError, match=r"F2F_API_KEY_FILE: .* is empty"):
        load({"F2F_API_KEY_FILE": str(tmp_path / "key")})


@pytest.mark.parametrize("key", [" ", "key ", "schlüssel", "line\nbreak"])
def test_a_key_that_no_header_carries_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(SettingsError, match=r"visible ASCII|a line end") as refused:
        load({"F2F_API_KEY": key})
    assert str(refused.value).startswith("F2F_API_KEY = (hidden): ")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("F2F_SLOTS", "0", "greater than or equal to 1"),
        ("F2F_SLOTS", "many", "auto or a whole number"),
        ("S3_BUCKET", "Not_A_Bucket", "3 to 63"),
        ("S3_ENDPOINT", "minio:9000", "must start with http"),
        ("KAFKA_SECURITY_PROTOCOL", "TLS", "PLAINTEXT"),
        ("F2F_TOPIC_PREFIX", "a b", "pattern"),
        ("F2F_PRESIGN_S", "604801", "604800"),
        ("F2F_LEASE_S", "nan", "finite"),
        ("CLEANUP_DELAY", "inf", "finite"),
        ("F2F_LEASE_S", "1e9", "86400"),
        ("KAFKA_SESSION_TIMEOUT_S", "3e6", "2000000"),
        ("F2F_GATEWAY_TIMEOUT_S", "1e308", "1000000000"),
        ("F2F_MAX_INPUT_BYTES", "9" * 30, "1125899906842624"),
        ("F2F_MAX_PIXELS", "10000000000", "300000000"),
        ("F2F_C2PA_KEY_PATH", "/" + "k" * 150, "is not a file"),
        ("F2F_HTTP_PORT", "65536", "65535"),
        ("KAFKA_BOOTSTRAP_SERVERS", "a:1,b:99999", "'b:99999' is not host:port"),
        ("KAFKA_BOOTSTRAP_SERVERS", " , ", "names no broker"),
        ("KAFKA_GROUP_INSTANCE_ID", "a b", "pattern"),
        ("F2F_DEVICES", "gpu0", "auto, cpu"),
        ("F2F_ENGINE", "nonsense", "one of viseme, musetalk, musetalk-fast, wav2lip, duix"),
        ("F2F_ALLOWED_HOSTS", "https://example.org/", "leave out scheme"),
        ("S3_ENDPOINT", "http://", "names no host"),
        ("S3_ENDPOINT", "http://minio:9000/bucket", "without user, path or query"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318", "must start with http"),
        ("KAFKA_SSL_CA_FILE", "/nowhere/ca.pem", "is not a file"),
        ("S3_REGION", "eu central", "pattern"),
        ("S3_ENDPOINT", "http://a b:9000", "without spaces"),
        ("S3_ENDPOINT", "http://minio\r:9000", "holds a line end"),
        ("S3_SECRET_KEY", "one\ntwo", "holds a line end"),
        ("S3_BUCKET", "face\n2face", "holds a line end"),
        ("DUIX_DATA_DIR", "/data\t", "holds a line end"),
        ("KAFKA_HEARTBEAT_S", "1e-9", "greater than or equal to 0.1"),
        ("KAFKA_REBALANCE_TIMEOUT_S", "1e-5", "greater than or equal to 1"),
        ("KAFKA_MAX_POLL_INTERVAL_S", "0.001", "greater than or equal to 1"),
        ("F2F_STALL_TIMEOUT_S", "1", "greater than or equal to 2"),
        ("F2F_LEASE_S", "1e-9", "greater than or equal to 1"),
        ("PERIODIC_CLEANUP_INTERVAL", "1e-9", "greater than or equal to 1"),
        ("S3_CA_FILE", __file__, "no CA certificates"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_with_name_value_and_limit(
    name: str, value: str, said: str
) -> None:
    with pytest.raises(SettingsError) as refused:
        load({name: value})
    assert str(refused.value).startswith((f"{name} = {value!r}: ", f"{name} = ("))
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"KAFKA_HEARTBEAT_S": "45"}, "KAFKA_HEARTBEAT_S = 45 must be less than"),
        ({"KAFKA_SECURITY_PROTOCOL": "SASL_SSL"}, "needs KAFKA_SASL_USERNAME"),
        ({"S3_ACCESS_KEY": "who"}, "S3_ACCESS_KEY and S3_SECRET_KEY belong together"),
        ({"S3_SECRET_KEY": "hunter2"}, "S3_ACCESS_KEY and S3_SECRET_KEY belong together"),
        ({"S3_SESSION_TOKEN": "token"}, "S3_ACCESS_KEY and S3_SECRET_KEY belong together"),
        (
            {"S3_ACCESS_KEY": "a", "S3_SECRET_KEY": "b", "S3_CREDENTIALS": "aws"},
            "finds keys elsewhere",
        ),
        (
            {"S3_ENDPOINT": "https://s3.eu-central-1.amazonaws.com"},
            "is of region 'eu-central-1', and S3_REGION = 'us-east-1'",
        ),
        ({"F2F_RETRY_DELAYS_S": "1,-1"}, "F2F_RETRY_DELAYS_S.1 = '-1': "),
    ],
)
def test_settings_that_cannot_work_together_are_refused(given: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError) as refused:
        load(given)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("host", "region"),
    [
        ("s3.amazonaws.com", "eu-central-1"),  # the SDK puts the region in
        ("s3.eu-central-1.amazonaws.com", "eu-central-1"),
        ("s3.dualstack.eu-west-1.amazonaws.com", "eu-west-1"),
        ("s3.cn-north-1.amazonaws.com.cn", "cn-north-1"),
        ("minio.eu-central-1.example.com", "us-east-1"),
    ],
)
def test_endpoints_of_aws_go_with_their_region(host: str, region: str) -> None:
    assert load({"S3_ENDPOINT": f"https://{host}", "S3_REGION": region}).s3_region == region


def test_a_secret_that_is_no_text_is_said(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match=r"S3_SECRET_KEY_FILE: .* is not UTF-8"):
        load({"S3_SECRET_KEY_FILE": str(tmp_path / "secret")})


def test_addresses_in_every_form_that_works_are_taken() -> None:
    hosts = "a.example,.b.example,*.c.example,*,[::1]:8443,d:1"
    brokers = "[::1]:9092,broker_1:9,SSL://b:9093,c"
    load({"F2F_ALLOWED_HOSTS": hosts, "KAFKA_BOOTSTRAP_SERVERS": brokers})
    load({"S3_ENDPOINT": "https://s3.example/", "F2F_DEVICES": "cuda:0,GPU-1a-2b,cpu"})


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("F2F_MAX_INPUT_BYTES", "2GB", "must be a number of bytes, without a unit"),
        ("F2F_DRAIN_S", "60s", "must be a number of seconds, without a unit"),
        ("CLEANUP_DELAY", "1m", "must be a number of seconds, without a unit"),
        ("F2F_RETRY_DELAYS_S", "10s,60s", "must be a number of seconds, without a unit"),
        ("F2F_SLOTS", "all", "must be auto or a whole number"),
        ("F2F_HTTP_PORT", "http", "must be a number"),
        ("F2F_NVDEC", "perhaps", "must be true or false"),
    ],
)
def test_what_is_no_number_is_told_what_is_counted(name: str, value: str, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        load({name: value})


@pytest.mark.parametrize("level", ["info", "INFO", "Info"])
def test_a_level_of_logs_is_taken_in_capitals_as_most_programs_write_it(level: str) -> None:
    found = load({"F2F_LOG_LEVEL": level, "F2F_LOG_FORMAT": "JSON"})
    assert (found.log_level, found.log_format) == ("info", "json")


def test_every_wrong_setting_is_named_at_once() -> None:
    with pytest.raises(SettingsError) as refused:
        load({"F2F_SLOTS": "0", "F2F_CRF": "ignored", "S3_BUCKET": "X"})
    assert len(str(refused.value).splitlines()) == 2


def test_every_setting_has_a_name_of_its_own_and_says_what_it_means() -> None:
    names = [str(field.validation_alias) for field in Settings.model_fields.values()]
    assert len(set(names)) == len(names)
    assert all(name == name.upper() for name in names)
    assert all(field.description for field in Settings.model_fields.values())


def test_no_number_is_so_large_that_it_breaks_the_work_later() -> None:
    """Dates, timers and the brokers' milliseconds overflowed while a job ran, again and again."""
    numbers = [
        field
        for field in Settings.model_fields.values()
        if field.annotation in (int, float) and field.validation_alias != "F2F_PRESIGN_S"
    ]
    assert len(numbers) > 20
    for field in numbers:
        for value in ("1e300", "9" * 400):
            with pytest.raises(SettingsError, match=f"^{field.validation_alias} = "):
                load({str(field.validation_alias): value})
    with pytest.raises(SettingsError, match="1000000000"):
        load({"F2F_RETRY_DELAYS_S": "1,1e12"})


def test_a_path_may_begin_with_a_home_which_no_shell_puts_in_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder named ~ was made wherever the service was started."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    found = load({"DUIX_DATA_DIR": "~/data", "F2F_AVATAR_DIR": "~/avatars"})
    assert (found.data_dir, found.avatars) == (tmp_path / "data", tmp_path / "avatars")
    assert load({"DUIX_DATA_DIR": "data"}).data_dir == tmp_path / "data"
    with pytest.raises(SettingsError, match="'~nosuch/x': begins with ~, and no"):
        load({"DUIX_DATA_DIR": "~nosuch/x"})
    (tmp_path / "key").write_text("secret")
    key = load({"F2F_API_KEY_FILE": "~/key"}).api_key
    assert key is not None
    assert key.get_secret_value() == "secret"
    with pytest.raises(
        SettingsError, match="F2F_API_KEY_FILE = '~nosuch/x': begins with ~, and no"
    ):
        load({"F2F_API_KEY_FILE": "~nosuch/x"})


def test_a_value_of_any_length_is_shown_in_short() -> None:
    for name in ("F2F_SLOTS", "F2F_C2PA_KEY_PATH", "KAFKA_GROUP_INSTANCE_ID", "KAFKA_GROUP_ID"):
        with pytest.raises(SettingsError, match=f"^{name} = ") as refused:
            load({name: "1" * 5000})
        assert len(str(refused.value)) < 500
