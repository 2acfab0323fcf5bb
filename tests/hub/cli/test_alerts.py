"""`stadspuls alerts`: listing, acknowledging, silences and tests of channels, with their exit codes."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.hub.cli.test_cli import Done, Run, run
from tests.support.alerting import NOON, RULE, cleared, raised, rule
from tests.support.databases import fresh_database
from tests.support.receivers import Hook

__all__ = ["run"]


@pytest.fixture
def filled(postgres: str) -> Iterator[str]:
    """A database with an open and a cleared alert."""
    with fresh_database(postgres) as url:
        rule(url)
        cleared(url, raised(url, "ndw/over"), NOON + timedelta(hours=1))
        raised(url, "ndw/open")
        yield url


def listed(run: Run, database: str, *words: str) -> list[dict[str, Any]]:
    """Run a command that answers with JSON."""
    done = run("alerts", *words, f"--database={database}", "--format=json")
    assert done.returncode == 0, done.stderr
    answer: list[dict[str, Any]] = json.loads(done.stdout)
    return answer


class TestList:
    """`alerts list`."""

    def test_open_and_all(self, run: Run, filled: str) -> None:
        """Open ones by default, all on demand, the newest first, with what a program needs."""
        (only,) = listed(run, filled, "list")
        assert (only["subject"], only["state"], only["rule"]) == ("ndw/open", "raised", RULE)
        assert (only["value"], only["threshold"], only["unit"], only["since"]) == (
            412.0,
            400.0,
            "ug/m3",
            "2024-06-03T09:00:00Z",
        )
        assert only["local_since"] == "2024-06-03T11:00:00+02:00"
        assert [one["state"] for one in listed(run, filled, "list", "--all")] == ["raised", "cleared"]
        assert listed(run, filled, "list", "--all", "--subject=ndw/over", f"--rule={RULE}")[0]["alert"] == 1

    def test_nothing_is_no_error(self, run: Run, filled: str) -> None:
        """No alert is an empty list with a note."""
        done = run("alerts", "list", "--rule=none", f"--database={filled}", "--format=json")
        assert (done.returncode, done.stdout.strip()) == (0, "[]")
        assert "no alert is open" in done.stderr

    def test_silenced_alert_is_listed(self, run: Run, filled: str) -> None:
        """What a silence keeps quiet now is listed as silenced, and what it is not about is not."""
        listed(run, filled, "silence", "--subject=ndw/o*", "--for=2h", "--reason=works", "--by=Anna")
        listed(
            run, filled, "silence", "--subject=*", "--from=2001-01-01", "--to=2001-01-02", "--reason=past", "--by=Anna"
        )
        raised(filled, "knmi/other")
        found = listed(run, filled, "list", "--all")
        assert [(one["subject"], one["state"]) for one in found] == [
            ("knmi/other", "raised"), ("ndw/open", "silenced"), ("ndw/over", "cleared"),
        ]  # fmt: skip

    def test_table(self, run: Run, filled: str) -> None:
        """The table for people names the rule and the place."""
        text = run("alerts", "list", f"--database={filled}").stdout
        assert "ndw/open" in text
        assert "412" in text
        assert "2024-06-03 11:00 CEST" in text


class TestRules:
    """`alerts rules` and `alerts test`."""

    def test_a_line_for_each_rule(self, run: Run, tmp_path: Path) -> None:
        """Name, quantity, level and thresholds of shipped rules and one's own, without a hub."""
        (tmp_path / "own.toml").write_text(
            '[[rule]]\nname = "mine"\ntitle = "Mine"\nquantity = "no2"\nlevel = "5m"\nraise = 90\nclear = 70\n'
        )
        done = run("alerts", "rules", f"--rules={tmp_path}", "--format=json")
        rows = {one["name"]: one for one in json.loads(done.stdout)}
        assert (rows["mine"]["quantity"], rows["mine"]["level"], rows["mine"]["raise"], rows["mine"]["clear"]) == (
            "no2", "5m", "> 90", "70",
        )  # fmt: skip
        assert rows["eu2008-no2-alert"]["windows"] == 3
        lines = run("alerts", "rules").stdout.splitlines()
        assert any(line.split()[:5] == ["eu2008-no2-alert", "no2", "1h", ">", "400"] for line in lines)

    def test_rule_that_cannot_work(self, run: Run, tmp_path: Path) -> None:
        """A rule file that cannot work is refused with file, rule, key and reason."""
        (tmp_path / "own.toml").write_text(
            '[[rule]]\nname = "mine"\ntitle = "x"\nquantity = "no2"\nlevel = "2h"\nraise = 9'
        )
        done = run("alerts", "rules", f"--rules={tmp_path}")
        assert done.returncode in (2, 3)
        assert "own.toml: rule 'mine': level" in done.stderr

    def test_replays_nothing(self, run: Run, filled: str) -> None:
        """A range without windows raises nothing and is no error; an unknown rule and a wrong range are exit 2."""
        span = ("--from=2023-01-01", "--to=2023-02-01", f"--database={filled}")
        done = run("alerts", "test", "eu2008-no2-alert", *span, "--format=json")
        assert (done.returncode, done.stdout.strip()) == (0, "[]")
        assert "would have been raised 0 times" in done.stderr
        assert run("alerts", "test", "nope", *span).returncode == 2
        assert run("alerts", "test", "eu2008-no2-alert", "--from=2024-01-01", "--to=2023-01-01").returncode == 2


class TestAck:
    """`alerts ack`."""

    def test_acknowledged(self, run: Run, filled: str) -> None:
        """Who acknowledged is shown; again is no error; what is over or unknown is exit 1."""
        assert run("alerts", "ack", "2", "--by=Anna", f"--database={filled}").returncode == 0
        assert run("alerts", "ack", "2", "--by=Bert", f"--database={filled}").returncode == 0
        (only,) = listed(run, filled, "list")
        assert (only["state"], only["acknowledged_by"]) == ("acknowledged", "Anna")
        for number in ("1", "99"):
            done = run("alerts", "ack", number, f"--database={filled}")
            assert (done.returncode, done.stderr.strip()) == (1, f"alert {number} is not open")


class TestSilence:
    """`alerts silence`."""

    def test_made_listed_ended(self, run: Run, filled: str) -> None:
        """A silence is made, listed and ended; to end it again is exit 1."""
        made = listed(run, filled, "silence", "--subject=ndw/*", "--for=2h", "--reason=works", "--by=Anna")
        assert [(one["rule"], one["subject"], one["made_by"], one["silent_now"]) for one in made] == [
            ("*", "ndw/*", "Anna", True)
        ]
        first, last = (datetime.fromisoformat(made[0][key]) for key in ("first", "last"))
        assert last - first == timedelta(hours=2)
        nights = (
            "silence",
            f"--rule={RULE}",
            "--weekly=mon-fri 22:00-07:00",
            "--weekly=sat,sun 00:00-24:00",
            "--reason=x",
        )
        assert listed(run, filled, *nights)[0]["weekly"] == "mon-fri 22:00-07:00; sat,sun 00:00-24:00"
        assert len(listed(run, filled, "silence", "--list")) == 2
        assert len(listed(run, filled, "silence", "--end=1")) == 1
        assert run("alerts", "silence", "--end=1", f"--database={filled}").returncode == 1

    def test_span(self, run: Run, filled: str) -> None:
        """From and to are taken as they are."""
        later = datetime.now(UTC) + timedelta(days=2)
        (one,) = listed(
            run,
            filled,
            "silence",
            "--rule=*",
            "--reason=x",
            f"--from={later:%Y-%m-%dT10:00Z}",
            f"--to={later:%Y-%m-%dT12:00Z}",
        )
        assert (one["first"], one["last"]) == (f"{later:%Y-%m-%dT10:00:00Z}", f"{later:%Y-%m-%dT12:00:00Z}")
        assert one["silent_now"] is False

    @pytest.mark.parametrize(
        ("words", "reason"),
        [
            (["--for=2h", "--reason=x"], "--rule or --subject"),
            (["--rule=*", "--for=2h"], "--reason"),
            (["--rule=*", "--reason=x"], "a silence without an end is forgotten"),
            (["--rule=*", "--reason=x", "--for=soon"], "expected a time as 30min"),
            (["--rule=*", "--reason=x", "--weekly=nightly"], "weekly window 'nightly'"),
            (["--rule=*", "--reason=x", "--for=2h", "--to=2030-01-01"], "--for and --to"),
            (["--rule=*", "--reason=x", "--from=2030-01-02", "--to=2030-01-01"], "ends at"),
            (["--rule=*", "--reason=x", "--from=noon", "--for=2h"], "--from 'noon'"),
            (["--rule=*", "--reason=x", "--to=9999-12-31T23:59-10:00"], "expected a year from 1970 to 2099"),
            (["--rule=*", "--reason=x", "--for=5000000d"], "out of range"),
            (["--rule=*", "--reason=x", "--for=500000d"], "expected a stamp of the years 1970 to 2099"),
        ],
    )
    def test_used_wrongly(self, run: Run, filled: str, words: list[str], reason: str) -> None:
        """What says too little or cannot be is exit 2 with the flag."""
        done = run("alerts", "silence", *words, f"--database={filled}")
        assert done.returncode == 2
        assert reason in done.stderr


class TestSendTest:
    """`alerts send-test`."""

    def test_through_a_webhook(self, run: Run, tmp_path: Path) -> None:
        """A test arrives, is called one, and the command says where it went without secrets."""
        with Hook() as hook:
            (tmp_path / "channels.toml").write_text(
                f'[channel.hook]\nurl = "{hook.url.replace("//", "//me:sesame@")}"\n'
            )
            done = run("alerts", "send-test", "hook", f"--data-dir={tmp_path}")
        assert done.returncode == 0
        assert "sesame" not in done.stderr
        assert hook.posts[0]["title"] == "[test] Stadspuls"

    def test_exit_codes(self, run: Run, tmp_path: Path) -> None:
        """A channel that fails is 3, one that is unknown, a file that cannot work or is not there 2."""
        path = tmp_path / "named.toml"

        def sent(text: str, channel: str = "a") -> Done:
            path.write_text(text)
            return run("alerts", "send-test", channel, f"--alert-channels={path}", f"--data-dir={tmp_path}")

        with Hook(failing=1.0) as hook:
            failed = sent(f'[channel.a]\nurl = "{hook.url}"')
        assert (failed.returncode, "503" in failed.stderr) == (3, True)
        assert sent('[channel.a]\nurl = "json://127.0.0.1"', "b").returncode == 2
        broken = sent('[channel.a]\nurl = "json://127.0.0.1"\nsevere = 1')
        assert (broken.returncode, f"{path}: channel.a: " in broken.stderr) == (2, True)
        assert run("alerts", "send-test", "a", f"--data-dir={tmp_path}").returncode == 2
        missing = run("alerts", "send-test", "a", f"--data-dir={tmp_path}", "--alert-channels=/nowhere")
        assert (missing.returncode, "alert_channels: no file '/nowhere'" in missing.stderr) == (2, True)
