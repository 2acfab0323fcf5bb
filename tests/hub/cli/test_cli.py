"""The command line as a contract: help, environment, exit codes, and what goes to which stream."""

import builtins
import gzip
import json
import os
import re
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import structlog
import typer
from typer.main import get_command

from aggregates.areas.cbs_door import PATIENCE
from aggregates.ask.dates import BadQuestion
from aggregates.export.export import DATASETS
from hub.cli.common import stamp
from hub.cli.main import CODES, MODULES, main
from ingest.gateways.schedule import GATEWAYS
from tests.conftest import ROOT
from tests.support.commands import app
from tests.support.databases import fresh_database


def leaves(group: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Give every command by its words."""
    found = group or get_command(app)
    for name, child in getattr(found, "commands", {}).items():
        words = (*path, name)
        if getattr(child, "commands", None):
            yield from leaves(child, words)
        else:
            yield " ".join(words), child


COMMANDS = dict(leaves())
ROOMS = ("ingest", "aggregates", "streams", "hub")
ACTIONS = {"--help", "--drain"}  # what is done once, by hand: in an environment every collector would do it


@pytest.fixture(scope="module")
def database(postgres: str) -> Iterator[str]:
    """One empty database for all commands."""
    with fresh_database(postgres) as url:
        yield url


class Done(NamedTuple):
    """What a command left behind."""

    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Done]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """Run `stadspuls` in this process, with nothing else of it in the environment."""
    for name in [name for name in os.environ if name.startswith("STADSPULS_")]:
        monkeypatch.delenv(name)

    def invoke(*words: str | Path, **environment: str) -> Done:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["stadspuls", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        return Done(int(ended.value.code or 0), *capsys.readouterr())

    yield invoke
    structlog.reset_defaults()


def test_each_word_loads_its_commands() -> None:
    """The modules that a first word loads are those where its commands stand, no more and no fewer."""
    homes: dict[str, set[str]] = {}
    for words, command in COMMANDS.items():
        homes.setdefault(command.callback.__module__, set()).add(words.split()[0])
    lists = homes.pop("hub.cli.lists")  # registered by the modules of other commands
    for module, words in MODULES.items():
        assert set(words.split()) - lists <= homes[module] <= set(words.split())
    assert set().union(*homes.values()) | lists == set(" ".join(MODULES.values()).split())


OF_LISTS = {"about", "columns", "greatest", "most", "nothing"}  # of commands that show a list of the API

# What is loaded for the help of a command, and what else when it is called; what none of it may bring along.
TABLES, HTTP, SHAPES = "pandas", "fastapi uvicorn", "pyogrio pyproj"
UNUSED = {
    "query": ("", f"lab {TABLES} {HTTP} {SHAPES} apprise aiokafka faust httpx lxml pyarrow shapely"),
    "publish": ("", f"lab {TABLES} {HTTP} {SHAPES} apprise aiokafka faust httpx"),
    "doctor": ("", f"lab {TABLES} {HTTP} {SHAPES} apprise aiokafka faust httpx"),
    "up": ("hub.run.embedded", f"lab {TABLES} {HTTP} {SHAPES} apprise aiokafka faust httpx"),
    "collect": ("hub.run.distributed", f"lab {SHAPES} apprise faust httpx shapely"),
    "work": ("hub.run.distributed streams.worker.worker", f"lab {SHAPES} apprise httpx"),
}


@pytest.mark.parametrize("word", UNUSED)
def test_a_command_loads_nothing_that_it_does_not_use(word: str) -> None:
    """Each library costs memory and time at every start; `bench` and `chaos` alone load the laboratory."""
    called, unused = UNUSED[word]
    code = f"import sys; from hub.cli.main import load; load({word!r}); "
    code += "".join(f"import {module}; " for module in called.split())
    code += f"print(sorted(set(sys.modules) & set({unused.split()!r})))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_hub_loads_large_libraries_when_they_are_used() -> None:
    """A start needs none of them; they come whole, also where several threads are the first to use one."""
    code = """if True:
        import sys
        from concurrent.futures import ThreadPoolExecutor
        from hub.cli.main import LATE, Late
        late = {name: sys.modules.setdefault(name, Late(name)) for name in LATE.split()}
        import hub.run.embedded, hub.run.upkeep, hub.web.features.app, hub.web.http, hub.web.live.mount, hub.web.sta.app
        print(sorted(name for name, one in late.items() if sys.modules[name] is not one))
        import pandas
        with ThreadPoolExecutor(8) as pool:
            found = set(pool.map(lambda _: pandas.DataFrame, range(8)))
        print(found == {sys.modules["pandas"].DataFrame}, sys.modules["pandas"] is not late["pandas"])
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "True True"]


def test_help_names_every_gateway() -> None:
    """It does so without loading them."""
    words = tomllib.loads(files("hub.cli").joinpath("commands.toml").read_text("utf-8"))
    assert words["gateway"]["names"]["help"].startswith(f"one or more of {', '.join(GATEWAYS)}, or ")


def test_words_of_commands_are_used() -> None:
    """Each table of `commands.toml` is of a command, and each word in it of an argument, a flag or the example."""
    own = {one.callback.__wrapped__.__name__: {*one.callback.__signature__.parameters} for one in COMMANDS.values()}
    tables = tomllib.loads(files("hub.cli").joinpath("commands.toml").read_text("utf-8"))
    shared = tables.pop("general")
    assert tables.pop("modules") == MODULES
    assert tables.pop("groups").keys() == {words.split()[0] for words in COMMANDS if " " in words}
    assert tables.keys() == own.keys()
    assert {name: words.keys() - own[name] - OF_LISTS - {"example"} for name, words in tables.items()} == {
        name: set() for name in own
    }
    assert shared.keys() <= set().union(*own.values())
    assert set(tables["export"]["dataset"].partition(";")[0].split(", ")) == set(DATASETS)


def test_failures_with_an_exit_code_exist() -> None:
    """Each name of a failure that has an exit code is that of one exception."""
    for module, name in (one.split(".") for one in " ".join(CODES.values()).split()):
        homes = [
            path for room in ("ingest", "aggregates", "streams", "hub") for path in ROOT.glob(f"{room}/*/{module}.py")
        ]
        found = sum(f"class {name}(" in path.read_text("utf-8") for path in homes)
        assert found + hasattr(builtins, name) == 1, name


def test_length_of_time_before_now() -> None:
    """`-24h` is a moment of yesterday; what is no length of time is refused."""
    before = datetime.now(UTC) - timedelta(hours=24)
    assert before <= stamp("from", "-24h", "Europe/Amsterdam") <= datetime.now(UTC) - timedelta(hours=24)
    with pytest.raises(BadQuestion, match="'-24', expected"):
        stamp("from", "-24", "Europe/Amsterdam")


class TestHelp:
    """Every command introduces itself."""

    @pytest.mark.parametrize("name", COMMANDS)
    def test_has_an_example(self, name: str) -> None:
        """`--help` says what the command does and shows one way to call it."""
        text = COMMANDS[name].help or ""
        assert re.search(rf"Example: stadspuls {re.escape(name.split()[0])}", text), text
        assert not text.startswith("Example")

    @pytest.mark.parametrize("name", COMMANDS)
    def test_every_flag_is_also_in_the_environment(self, name: str) -> None:
        """`--a-b` is `STADSPULS_A_B`."""
        for parameter in COMMANDS[name].params:
            for flag in [word for word in parameter.opts if word.startswith("--") and word not in ACTIONS]:
                assert parameter.envvar == "STADSPULS_" + flag[2:].upper().replace("-", "_"), flag

    @pytest.mark.parametrize("name", COMMANDS)
    def test_takes_a_data_directory(self, name: str) -> None:
        """Every command may be told which hub is meant."""
        assert "--data-dir" in [flag for parameter in COMMANDS[name].params for flag in parameter.opts]

    def test_help_goes_to_stdout(self, run: Run) -> None:
        """Help is what was asked for: stdout, exit 0."""
        done = run("query", "--help")
        assert (done.returncode, done.stderr) == (0, "")
        assert "Example: stadspuls query" in done.stdout

    def test_version(self, run: Run) -> None:
        """What is installed: version, commit, and the edition of its database."""
        done = run("--version")
        assert (done.returncode, done.stderr) == (0, "")
        assert re.fullmatch(r"stadspuls \d+\.\d+\.\d+\S*, commit ([0-9a-f]{12}|unknown), edition .+\n", done.stdout)

    def test_commands_of_the_contract_exist(self) -> None:
        """Scripts of users depend on these names."""
        promised = {"up", "publish", "query", "sensors import", "sensors list", "dead-letters list",
                    "dead-letters replay", "reconcile", "maintain", "migrate", "doctor", "alerts list", "alerts ack",
                    "alerts rules", "alerts test", "alerts silence", "alerts send-test"}  # fmt: skip
        assert promised <= COMMANDS.keys()


ASKED = ("query", "--quantity=no2", "--from=2024-05-01", "--to=2024-05-02", "--window=1h", "--format=json")


class TestExitCodes:
    """0 good, 1 the data say no, 2 used wrongly, 3 it could not be done."""

    def test_good(self, run: Run, database: str) -> None:
        """Data on stdout and nothing else, the note on stderr."""
        done = run(*ASKED, f"--database={database}")
        assert (done.returncode, json.loads(done.stdout)) == (0, [])
        assert "no windows found" in done.stderr
        nothing = run(*ASKED, "--to=2024-05-01", f"--database={database}")
        assert (nothing.returncode, json.loads(nothing.stdout)) == (0, [])

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (("query",), "Missing option"),
            (("query", "--colour=red"), "No such option"),
            ((*ASKED, "--quantity=unicorns"), "unicorns"),
            ((*ASKED, "--window=2h"), "2h"),
            ((*ASKED, "--from=yesterday"), "--from 'yesterday', expected a date"),
            ((*ASKED, "--to=2024-04-01"), "is after to"),
            ((*ASKED, "--format=xml"), "xml"),
            (("maintain", "--thaw"), "--thaw needs --from and --to"),
            (("reconcile", "--from=2024-05-01", "--to=2024-05-01"), "--to 2024-05-01, which is exclusive"),
            (("maintain", "--retention=soon"), "retention"),
            (("maintain", "--from=2024-05-01"), "--from and --to go with --thaw"),
            (("migrate", "--database=mysql://x"), "database"),
            (("doctor", "--broker=http://x"), "broker"),
            (("publish", __file__, "--source=martians"), "martians"),
            (("publish", "none.json", "--source=ndw"), "'none.json' does not exist"),
            (("formats", "draft", "none.csv"), "'none.csv' does not exist"),
            (("formats", "try", "none.csv"), "'none.csv' does not exist"),
            (("formats", "try", __file__, "--mapping=none.toml"), "'none.toml' does not exist"),
            (("formats", "discover", "none.txt"), "'none.txt' does not exist"),
            (("nonsense",), "No such command"),
        ],
    )
    def test_used_wrongly(self, run: Run, database: str, tmp_path: Path, words: tuple[str, ...], said: str) -> None:
        """Exit 2, one message on stderr that names what was found, and not a traceback."""
        broker = ("--broker=mqtt://127.0.0.1:1",) if words[0] == "publish" else ()
        named = () if any(word.startswith("--database") for word in words) or broker else (database,)
        done = run(
            *words, *broker, STADSPULS_DATA_DIR=str(tmp_path), **({"STADSPULS_DATABASE": named[0]} if named else {})
        )
        assert (done.returncode, done.stdout) == (2, ""), done.stderr
        assert said in done.stderr
        assert "Traceback" not in done.stderr

    @pytest.mark.parametrize(
        "words",
        [ASKED, ("sensors", "list"), ("dead-letters", "list"), ("reconcile",), ("maintain",), ("migrate",),
         ("dead-letters", "replay")],
    )  # fmt: skip
    def test_could_not_be_done(self, run: Run, tmp_path: Path, words: tuple[str, ...]) -> None:
        """No hub in this directory, or a database that is away: exit 3 and why."""
        done = run(*words, f"--data-dir={tmp_path}")
        assert (done.returncode, done.stdout) == (3, "")
        assert "no hub runs in" in done.stderr
        if words != ("dead-letters", "replay"):
            done = run(*words, "--database=postgresql://127.0.0.1:1/x?connect_timeout=2", f"--data-dir={tmp_path}")
            assert (done.returncode, done.stdout) == (3, ""), done.stderr
            assert "Traceback" not in done.stderr

    def test_data_say_no(self, run: Run, tmp_path: Path) -> None:
        """A doctor who finds something ends with 1, his findings on stdout."""
        done = run("doctor", f"--data-dir={tmp_path}")
        assert done.returncode == 1
        assert "BAD" in done.stdout


class TestFiles:
    """Files that users name."""

    @pytest.mark.parametrize(
        ("name", "content", "source"),
        [
            ("cut.json.gz", gzip.compress(b'{"sensor_id":"x"}' * 99, mtime=0)[:-20], "stadspuls"),
            ("odd.json.gz", b"not gzip", "stadspuls"),
            ("damaged.json.gz", gzip.compress(bytes(range(256)) * 99, mtime=0)[:40] + b"\xff" * 400, "stadspuls"),
            ("cut.xml", b"<d2LogicalModel><payloadPublication><siteMeasurements>", "ndw"),
            ("cut.xml.gz", gzip.compress(b"<d2LogicalModel>" + b" " * 9999, mtime=0)[:-12], "ndw"),
            ("empty.xml", b"", "ndw"),
            ("empty.json", b"", "stadspuls"),
        ],
    )
    def test_recording_that_cannot_be_read(
        self, run: Run, tmp_path: Path, name: str, content: bytes, source: str
    ) -> None:
        """Exit 2 and the file's name, whatever is wrong with it."""
        (tmp_path / name).write_bytes(content)
        words = ("publish", tmp_path / name, f"--source={source}", "--broker=mqtt://127.0.0.1:1")
        done = run(*words, f"--data-dir={tmp_path}")
        assert (done.returncode, done.stdout) == (2, ""), done.stderr
        assert name in done.stderr
        assert "Traceback" not in done.stderr

    def test_missing_files_are_named(self, run: Run, database: str, tmp_path: Path) -> None:
        """A catalogue or recording that is not there."""
        named = (f"--database={database}", f"--data-dir={tmp_path}")
        for words in (("sensors", "import"), ("publish", "--source=ndw", "--broker=mqtt://127.0.0.1:1")):
            for name in ("none.csv", "none.xml"):
                done = run(*words, tmp_path / name, *(named if words[0] == "sensors" else named[1:]))
                assert (done.returncode, done.stdout) == (2, "")
                assert name in done.stderr
                assert "Traceback" not in done.stderr

    def test_catalogue_comes_back(self, run: Run, database: str, tmp_path: Path) -> None:
        """What was imported is listed; a mistake is exit 2 with file and line, and imports nothing."""
        good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
        good.write_text("sensor_id,name,lanes\nndw/a,Hereweg,2\nndw/b,,\n")
        bad.write_text("sensor_id,lanes\nndw/c,2\nndw/d,two\n")
        named = (f"--database={database}", f"--data-dir={tmp_path}")
        done = run("sensors", "import", good, *named)
        assert (done.returncode, done.stdout) == (0, "")
        assert "2 sensors imported" in done.stderr
        done = run("sensors", "import", bad, *named)
        assert done.returncode == 2
        assert "bad.csv line 3" in done.stderr
        listed = json.loads(run("sensors", "list", "--source=ndw", "--format=json", *named).stdout)
        assert [(one["sensor_id"], one["name"], one["lanes"], one["lon"]) for one in listed] == [
            ("ndw/a", "Hereweg", 2, None), ("ndw/b", None, None, None),
        ]  # fmt: skip


def test_areas_are_fetched_from_the_hosts_of_the_settings(run: Run, database: str, tmp_path: Path) -> None:
    """`areas load` asks the hosts that the settings name, and waits no longer than they say."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:  # which never answers
        host = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        words = ("areas", "load", "--vintage=2024", "--municipality=GM0014", f"--data-dir={tmp_path}")
        began = time.monotonic()
        done = run(*words, f"--database={database}", STADSPULS_CBS_URL=host, STADSPULS_PDOK_URL=host,
                   STADSPULS_GATEWAY_TIMEOUT="0.2")  # fmt: skip
    assert (done.returncode, done.stdout) == (3, "")
    assert host in done.stderr
    assert time.monotonic() - began < PATIENCE  # that of one answer, where nothing is set


class TestTextOfOthers:
    """Ids and names are text, whatever stands in them."""

    def test_table(self, run: Run, database: str, tmp_path: Path) -> None:
        """Markup is shown as it is, control characters as escapes."""
        catalogue = tmp_path / "sensors.csv"
        catalogue.write_text("sensor_id,name\nstadspuls/mk2[/bold],[red]Brug\x1b[2J :smile:\n", encoding="utf-8")
        named = (f"--database={database}", f"--data-dir={tmp_path}")
        assert run("sensors", "import", catalogue, *named).returncode == 0
        done = run("sensors", "list", *named)
        assert done.returncode == 0
        assert "stadspuls/mk2[/bold]" in done.stdout
        assert "[red]Brug\\x1b[2J :smile:" in done.stdout

    def test_message(self, run: Run, tmp_path: Path) -> None:
        """Messages on stderr too."""
        done = run("sensors", "import", tmp_path / "no[/bold]\x1b[2J.csv", "--database=postgresql:///x")
        assert done.returncode != 0
        assert "no[/bold]\\x1b[2J.csv" in done.stderr


class TestEnvironment:
    """Flags over environment over files over defaults."""

    def test_environment_is_a_flag(self, run: Run, database: str, tmp_path: Path) -> None:
        """A question may stand in the environment altogether."""
        done = run("query", STADSPULS_QUANTITY="no2", STADSPULS_FROM="2024-05-01", STADSPULS_TO="2024-05-02",
                   STADSPULS_WINDOW="1h", STADSPULS_FORMAT="json", STADSPULS_DATABASE=database,
                   STADSPULS_DATA_DIR=str(tmp_path))  # fmt: skip
        assert (done.returncode, json.loads(done.stdout)) == (0, [])

    def test_doctor_tells_flag_from_environment(self, run: Run, tmp_path: Path) -> None:
        """Where a value came from is said, also of what might have been a flag."""
        done = run("doctor", f"--data-dir={tmp_path}", STADSPULS_BROKER="mqtt://127.0.0.1:1")
        origins = dict(re.findall(r"^(data_dir|broker) .*?(flag|environment \S+)\s*$", done.stdout, re.MULTILINE))
        assert origins == {"data_dir": "flag", "broker": "environment STADSPULS_BROKER"}

    def test_flag_is_stronger(self, run: Run, tmp_path: Path) -> None:
        """What is said on the command line holds."""
        done = run("doctor", f"--data-dir={tmp_path}", STADSPULS_DATA_DIR="/nowhere")
        assert str(tmp_path) in done.stdout
        assert "/nowhere" not in done.stdout


def test_app_is_typer() -> None:
    """The command line is one Typer application, so that other programs may mount it."""
    assert isinstance(app, typer.Typer)
