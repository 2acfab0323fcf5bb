"""Settings: what lies over what, what is refused and how it says so, and that secrets stay secret."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hub.settings.layers import PREFIX, BadSettings, load, shown, sources_of
from hub.settings.settings import Settings
from hub.settings.values import masked


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for key in Settings.model_fields:
        monkeypatch.delenv(PREFIX + key.upper(), raising=False)


def _write(directory: Path, text: str) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "stadspuls.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_precedence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Flags lie over the environment over the working directory's file over the data directory's over defaults."""
    data = tmp_path / "data"
    here = _write(tmp_path, "mqtt_port = 3\nbatch_readings = 3\nrollup_every = 3\n")
    there = _write(data, "mqtt_port = 4\nbatch_readings = 4\nrollup_every = 4\nrollup_grace = 4\n")
    monkeypatch.setenv("STADSPULS_MQTT_PORT", "2")
    monkeypatch.setenv("STADSPULS_BATCH_READINGS", "2")
    settings = load({"mqtt_port": 1, "data_dir": data, "http_port": None}, tmp_path)
    said = sources_of(settings)
    assert (settings.mqtt_port, said["mqtt_port"]) == (1, "flag")
    assert (settings.batch_readings, said["batch_readings"]) == (2, "environment STADSPULS_BATCH_READINGS")
    assert (settings.rollup_every, said["rollup_every"]) == (3, str(here))
    assert (settings.rollup_grace, said["rollup_grace"]) == (4, str(there))
    assert (settings.http_port, said["http_port"]) == (8080, "default")


def test_data_directory_named_in_a_file(tmp_path: Path) -> None:
    """A relative path in a file is read from where the file is, and the file in that directory counts."""
    _write(tmp_path, 'data_dir = "elsewhere"\nslots_dir = "shared"\n')
    _write(tmp_path / "elsewhere", "mqtt_port = 7\n")
    settings = load(None, tmp_path)
    assert (settings.data_dir, settings.slots_dir) == (tmp_path / "elsewhere", tmp_path / "shared")
    assert settings.mqtt_port == 7


def test_credentials_are_a_name_and_a_password(tmp_path: Path) -> None:
    """What a client of the broker logs in with; None where nothing is set."""
    assert load(None, tmp_path).credentials is None
    assert load({"broker_username": "u", "broker_password": "p"}, tmp_path).credentials == ("u", "p")


def test_defaults(tmp_path: Path) -> None:
    """Nothing said gives the embedded hub, open to this machine alone."""
    settings = load(None, tmp_path)
    assert (settings.mqtt_host, settings.mqtt_port, settings.broker, settings.database) == (
        "127.0.0.1",
        1883,
        None,
        None,
    )
    assert settings.earliest == datetime(2000, 1, 1, tzinfo=UTC)
    assert settings.retention is None
    assert settings.data_dir.is_absolute()


@pytest.mark.parametrize(("text", "length"), [("90d", timedelta(days=90)), ("36h", timedelta(hours=36))])
def test_durations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, length: timedelta) -> None:
    """A duration is a number with its unit."""
    monkeypatch.setenv("STADSPULS_RETENTION", text)
    assert load(None, tmp_path).retention == length


def test_mappings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Directories in the environment are parted as in PATH; one that is not there is refused."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    monkeypatch.setenv("STADSPULS_MAPPINGS", f"{tmp_path / 'a'}:{tmp_path / 'b'}")
    assert load(None, tmp_path).mappings == (tmp_path / "a", tmp_path / "b")
    with pytest.raises(BadSettings, match="mappings: no directory"):
        load({"mappings": [tmp_path / "c"]}, tmp_path)


def test_unknown_key(tmp_path: Path) -> None:
    """A misspelt key is refused, with the key and the file; every one of them gets a line."""
    path = _write(tmp_path, "mqtt_prot = 1\nother = 2\n")
    with pytest.raises(BadSettings) as refused:
        load(None, tmp_path)
    assert str(refused.value).splitlines() == [
        f"mqtt_prot: no such setting here (from {path})",
        f"other: no such setting here (from {path})",
    ]


def test_broken_file(tmp_path: Path) -> None:
    """A file that is no TOML is refused by name."""
    path = _write(tmp_path, "mqtt_port = \n")
    with pytest.raises(BadSettings, match=str(path)):
        load(None, tmp_path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("timezone", "Europe/Gruningen"),
        ("timezone", "../etc/passwd"),
        ("mqtt_port", 0),
        ("mqtt_port", "many"),
        ("broker", "http://host"),
        ("database", "data.sqlite"),
        ("earliest", "2000-01-01T00:00:00"),
        ("retention", "-1"),
        ("log_level", "loud"),
        ("batch_readings", 0),
    ],
)
def test_refused(tmp_path: Path, key: str, value: object) -> None:
    """What cannot work is refused in one line with the key and where it was said."""
    with pytest.raises(BadSettings) as refused:
        load({key: value}, tmp_path)
    (line,) = str(refused.value).splitlines()
    assert line.startswith(f"{key}: ")
    assert line.endswith("(from flag)")


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::"])
def test_open_broker_demands_credentials(tmp_path: Path, host: str) -> None:
    """A built-in broker that others can reach needs a name and a password; a loopback one does not."""
    with pytest.raises(BadSettings, match="broker_username and broker_password"):
        load({"mqtt_host": host}, tmp_path)
    assert load({"mqtt_host": host, "broker_username": "u", "broker_password": "p"}, tmp_path).mqtt_host == host
    assert load({"mqtt_host": host, "broker": "mqtt://b"}, tmp_path).mqtt_host == host


def test_http_side_that_others_reach_wants_a_token(tmp_path: Path) -> None:
    """Bound to more than this machine, the HTTP side needs a token or to be called public: refused at birth."""
    with pytest.raises(BadSettings, match="can be reached by others, expected api_token or public"):
        load({"http_host": "0.0.0.0"}, tmp_path)
    assert load({"http_host": "0.0.0.0", "api_token": "x"}, tmp_path).http_host == "0.0.0.0"
    assert load({"http_host": "0.0.0.0", "public": True}, tmp_path).public
    assert "x" not in shown(load({"api_token": "x"}, tmp_path))["api_token"]


def test_secrets_are_not_printed(tmp_path: Path) -> None:
    """Neither repr, nor what doctor shows, nor an error gives a password away."""
    secret = {
        "broker": "mqtt://me:hush1@host",
        "broker_username": "me",
        "broker_password": "hush2",
        "database": "postgresql://me:hush3@host/db",
    }
    settings = load(secret, tmp_path)
    assert settings.broker_password is not None
    assert settings.broker_password.get_secret_value() == "hush2"
    assert "hush" not in repr(settings) + str(settings) + repr(shown(settings))
    assert shown(settings)["database"] == "postgresql://me:***@host/db"
    for text in (
        "password=hush4",
        "password = 'my hush4'",
        r"password=my\ hush4",
        r"password='it\'s hush4",
        "password='hush4",
    ):
        assert "hush" not in masked(f"host=x {text}")
    assert "hush" not in shown(load({"broker": "mqtt://me:my@hush6@host"}, tmp_path))["broker"]
    for key in ("broker", "database"):
        with pytest.raises(BadSettings) as refused:
            load({key: "http://me:hush5@host"}, tmp_path)
        assert "hush" not in str(refused.value)


@pytest.mark.parametrize(
    "database",
    [
        "postgresql://me:hush@mum/pw@host/db", "postgresql://me:hush/mum@host/db", "postgresql://me:hush%mum@host/db",
        "host=x password=hush mum user=me", "host=x password='hush",
    ],
)  # fmt: skip
def test_password_that_would_be_taken_for_a_host(database: str, tmp_path: Path) -> None:
    """It is refused without a word of it: the driver's errors name the host that it found, or the whole password."""
    with pytest.raises(BadSettings) as refused:
        load({"database": database}, tmp_path)
    assert "%40" in str(refused.value)
    assert not re.search("hush|mum", str(refused.value))


@pytest.mark.parametrize(
    "database",
    [
        "postgresql://me:hush%40mum%2f@host:5432/db?sslmode=require", "postgres:///db?host=/run/pg&user=a@b",
        "postgresql://me@[::1]:5432,other/db", "host = x password='a \\' b' user=me", "dbname=it's port=1 ",
    ],
)  # fmt: skip
def test_databases_that_the_driver_takes(database: str, tmp_path: Path) -> None:
    """Every form that can be connected to stays one."""
    assert load({"database": database}, tmp_path).database == database


def test_frozen(tmp_path: Path) -> None:
    """Settings do not change after birth."""
    with pytest.raises(ValueError, match="frozen"):
        load(None, tmp_path).mqtt_port = 5
