"""The file of channels: what it accepts, and that what cannot work is refused with file and key, without secrets."""

from pathlib import Path

import pytest

from hub.run.notifying import notifier_of, open_channels
from hub.settings.layers import load
from ingest.vocabulary.values import BadFile
from streams.notify.channels import read_channels
from tests.conftest import ROOT

GOOD = """
link = "https://hub.example"
[channel.duty]
url = "mailtos://hub:${MAIL_PASSWORD}@mail.example?to=duty@example.nl"
severity = "warning"
digest = "07:30"
[channel.phone]
url = "json://127.0.0.1/hook"
escalate_after = "30min"
kinds = ["escalated", "cleared"]
[heartbeat]
url = "https://beat.example/${BEAT}"
every = "2min"
"""
ENVIRONMENT = {"MAIL_PASSWORD": "sesame", "BEAT": "4711"}


def written(directory: Path, text: str) -> Path:
    """Write a file of channels."""
    path = directory / "channels.toml"
    path.write_text(text)
    return path


def test_good_file(tmp_path: Path) -> None:
    """Every key is read; variables of the environment take their place."""
    found = read_channels(written(tmp_path, GOOD), ENVIRONMENT)
    assert found.link == "https://hub.example"
    assert found.channels["duty"].url == "mailtos://hub:sesame@mail.example?to=duty@example.nl"
    assert found.channels["phone"].escalate_after == "30min"
    assert found.heartbeat is not None
    assert (found.heartbeat.url, found.heartbeat.every) == ("https://beat.example/4711", "2min")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("chanel = 1", "object contains unknown field `chanel`"),
        ("link = 'ftp://x'", "link: expected an http:// or https:// URL"),
        ("channel = 3", "channel: expected `object`, got `int`"),
        ("[channel.a]\nseverity = 'warning'", r"channel.a: object missing required field `url`"),
        ("[channel.a]\nurl = 'json://h'\nsevere = 1", r"channel.a: object contains unknown field `severe`"),
        ("[channel.a]\nurl = 'json://h'\nseverity = 'bad'", r"channel.a.severity: invalid enum value 'bad'"),
        ("[channel.a]\nurl = 'json://h'\ngroup = -1", "channel.a.group: expected `int` >= 0"),
        ("[channel.a]\nurl = 'json://h'\nkinds = []", "channel.a.kinds: expected at least one, or a digest"),
        ("[channel.a]\nurl = 'json://h'\nescalate_after = 'soon'", "channel.a.escalate_after: expected a time"),
        ("[channel.a]\nurl = 'json://h'\ndigest = 'noon'", "channel.a.digest: expected a time of day as 07:30"),
        ("[channel.a]\nurl = 'json://h'\ndigest = '07:30Z'", "channel.a.digest: expected a time of day as 07:30"),
        ("[channel.a]\nurl = 'json://${NOBODY}/'", "channel.a.url: the environment has no variable NOBODY"),
        ("[channel.operators]\nurl = 'json://h'", "channel.operators: expected a name of a-z"),
        ("[channel.'A b']\nurl = 'json://h'", "channel.A b: expected a name of a-z"),
        ("[heartbeat]\nurl = 'mailto://x'", "heartbeat.url: expected an http:// or https:// URL"),
        ("[heartbeat]\nurl = 'http://x'\nevery = '0s'", "heartbeat.every: expected a time"),
        ("[channel", "channels.toml"),
    ],
)  # fmt: skip
def test_refused_with_file_and_key(tmp_path: Path, text: str, reason: str) -> None:
    """What cannot work names the file, the key and the reason."""
    path = written(tmp_path, text)
    with pytest.raises(BadFile, match=reason.replace("[", r"\[")) as caught:
        read_channels(path, ENVIRONMENT)
    assert str(path) in str(caught.value)


def test_service_that_is_none(tmp_path: Path) -> None:
    """A URL that no door accepts is refused when the notifier is made, without its secret."""
    path = written(tmp_path, "[channel.a]\nurl = 'nosuch://sesame@host'")
    with pytest.raises(BadFile, match=r"channel\.a\.url: nosuch://") as caught:
        notifier_of(load({"alert_channels": path}), "")
    assert "sesame" not in str(caught.value)


def test_link_is_where_others_reach_the_hub(tmp_path: Path) -> None:
    """Messages point to the setting `http_url`, unless the file says where to."""
    for text, expected in (("", "https://city.example"), ("link = 'https://hub.example'", "https://hub.example")):
        settings = load({"alert_channels": written(tmp_path, text), "http_url": "https://city.example"})
        assert open_channels(settings)[0].link == expected


def test_shipped_example_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """The example in deploy/ is a file that works as soon as its variables are set."""
    path = ROOT / "deploy" / "alerts" / "channels.example.toml"
    names = {"MAIL_PASSWORD", "SLACK_TOKENS", "TEAMS_WORKFLOW", "NTFY_TOPIC", "HEARTBEAT_ID"}
    filled = dict.fromkeys(names, "A" * 24) | {
        "SLACK_TOKENS": f"T{'A' * 8}/B{'A' * 8}/{'A' * 24}", "TEAMS_WORKFLOW": "host.example:443/workflow/signature"
    }  # fmt: skip
    for name, value in filled.items():
        monkeypatch.setenv(name, value)
    channels, doors = open_channels(load({"alert_channels": path}))
    assert doors.keys() == channels.channels.keys() != set()
