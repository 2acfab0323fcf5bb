"""`stadspuls formats`: a draft loads and reads its own file, and a try leaves nothing of a file unsaid."""

import json
import tomllib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import typer

from hub.cli.files import formats_draft, formats_try
from hub.settings.layers import load
from ingest.vocabulary import sources

Try = Callable[..., dict[str, Any]]
pytestmark = pytest.mark.usefixtures("registries")
MAPPING = """
[source]
title = "Boxes"
stamp = "instant"
class = "citizen"
licence = "own"
topic = "boxes/#"
[[message]]
when = { "/kind" = "air" }
sensor = "{topic:boxes/+}"
stamp = "/t"
reading = [
    { value = "/values/[what=PM]/v", quantity = "pm25" },
    { value = "/values/[what=T]/v", quantity = "temperature", failed = [-99] },
]
"""
SENT = """\
boxes/a {"kind": "air", "t": "2026-03-02T08:00:00Z", "values": [{"what": "PM", "v": 8.5}, {"what": "Hum", "v": 60}]}
boxes/a {"kind": "air", "t": "2026-03-02T08:00:00Z", "values": [{"what": "PM", "v": 9.5}]}
boxes/b {"kind": "air", "t": "2026-03-02T08:00:00Z", "owner": "A.",
 "values": [{"what": "T", "v": -99}, {"what": "PM", "v": "Preheating"}]}
boxes/c {"kind": "door", "open": true}
"""
# What a supplier's file may look like, and the readings that the draft's own try gives: sensor, quantity, stamp, value.
FILES = {
    "dutch.csv": (
        "Telpunten juni\nTelpunt;Tijd;Fietsers;Snelheid (km/h);Bak\nBrug;13-06-2026 08:00;12;17,5;3\n"
        "Brug;13-06-2026 08:15;9;;3\nBrug;13-06-2026 08:30;1;16,0;3\n",
        [("Brug", "bicycle_count", "2026-06-13T08:00:00+02:00", 12), ("Brug", "vehicle_speed",
                                                                      "2026-06-13T08:00:00+02:00", 17.5),
         ("Brug", "bicycle_count", "2026-06-13T08:15:00+02:00", 9), ("Brug", "bicycle_count",
                                                                     "2026-06-13T08:30:00+02:00", 1),
         ("Brug", "vehicle_speed", "2026-06-13T08:30:00+02:00", 16)],
    ),
    "laan.csv": (
        "Zählstelle;Datum;Uur;Fietsers;NO2 [ug/m3];Bak\nLaan;13.06.2026;7;12;17,5;3\nLaan;13.06.2026;8;9;;3\n"
        "Laan;13.06.2026;9;1;16,0;3\n",
        [("Laan", "bicycle_count", "2026-06-13T07:00:00+02:00", 12), ("Laan", "no2", "2026-06-13T07:00:00+02:00", 17.5),
         ("Laan", "bicycle_count", "2026-06-13T08:00:00+02:00", 9), ("Laan", "bicycle_count",
                                                                     "2026-06-13T09:00:00+02:00", 1),
         ("Laan", "no2", "2026-06-13T09:00:00+02:00", 16)],
    ),
    "lines.csv": (
        "station,component,value,unit,start\nS1,NO2,12,ug/m3,2026-03-02T08:00:00Z\nS1,wd,180,deg,2026-03-02T08:00:00Z\n"
        "S1,CO,0.4,mg/m3,2026-03-02T08:00:00Z\n",
        [("S1", "no2", "2026-03-02T09:00:00+01:00", 12), ("S1", "co", "2026-03-02T09:00:00+01:00", 0.4)],
    ),
    "box.jsonl": (
        '{"id": "b1", "ts": 1772438400, "dht": {"temp": 293.15, "windSpeed": 3}, "place": {"lon": 6.5, "lat": 53.2}}\n',
        [("b1", "temperature", "2026-03-02T09:00:00+01:00", 20)],
    ),
    "knmi.csv": (
        "# STN,YYYYMMDD,HH,T,U\n280,20260301,22,5.1,88\n280,20260301,24,-1.2,97\n280,20260302,1,1.5,98\n",
        [("280", "temperature", "2026-03-01T22:00:00+01:00", 5.1),
         ("280", "temperature", "2026-03-02T00:00:00+01:00", -1.2),
         ("280", "temperature", "2026-03-02T01:00:00+01:00", 1.5)],
    ),
    "german.csv": (
        '"Stationscode";"Datum";"Uhrzeit";"Schadstoff";"Messwert";"Einheit"\n'
        '"DEBE010";"28.03.2026";"\'09:00\'";"NO\u2082";"23,5";"\u00b5g/m\u00b3"\n',
        [("DEBE010", "no2", "2026-03-28T09:00:00+01:00", 23.5)],
    ),
    "nest.json": (
        '{"stations": [{"name": "a", "rows": [{"time": "2026-03-02T08:00:00Z", "pm2.5": 3}]},'
        ' {"name": "b", "rows": [{"time": "2026-03-02T08:10:00Z", "pm2.5": 4}]}]}',
        [("a", "pm25", "2026-03-02T09:00:00+01:00", 3), ("b", "pm25", "2026-03-02T09:10:00+01:00", 4)],
    ),
    "said.txt": (
        'zig/garden {"temperature": 11.0, "linkquality": 90}\nzig/street/air 1 {"temperature": 12.0}\n',
        [("garden", "temperature", "", 11), ("street/air 1", "temperature", "", 12)],
    ),
}  # fmt: skip


@pytest.fixture
def tried(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Try:
    """Try a text as a file with a mapping; gives what is printed as JSON, with the exit code."""

    def run(name: str, text: str, mapping: str, **flags: Any) -> dict[str, Any]:
        file, rules = tmp_path / name, tmp_path / "mine.toml"
        file.write_text(text)
        rules.write_text(mapping)
        code = 0
        try:
            formats_try(load({}), file, mapping=rules, form="json", **flags)
        except typer.Exit as ended:
            code = ended.exit_code
        return {**json.loads(capsys.readouterr().out), "code": code}

    return run


def test_everything_in_a_file_is_accounted_for(tried: Try) -> None:
    """Readings, a failed one, a refused value, a part of no known shape, and each member that no rule reads."""
    found = tried("said.txt", SENT, MAPPING)
    names = ("sensor_id", "quantity", "value", "unit", "flags")
    assert [tuple(one[name] for name in names) for one in found["readings"]] == [
        ("mine/a", "pm25", 8.5, "ug/m3", ""), ("mine/a", "pm25", 9.5, "ug/m3", ""),
        ("mine/b", "temperature", None, "degC", "source_error"),
    ]  # fmt: skip
    assert [(one["message"], one["why"][:24]) for one in found["refused"]] == [
        (3, "/values/[what=PM]/v 'Pre"), (4, "no part of the message i"),
    ]  # fmt: skip
    assert {(one["what"], one["times"]) for one in found["ignored"]} == {
        ("/values/*/what", 1), ("/values/*/v", 1), ("/owner", 1),
    }  # fmt: skip
    assert found["totals"] == {"readings": 3, "failed": 1, "doubled": 1, "refused": 2, "ignored": 3}
    assert found["code"] == 0


def test_file_of_which_nothing_is_read(tried: Try) -> None:
    """The exit code says so, and the reason is listed."""
    found = tried("x.json", '{"kind": "door"}', MAPPING, topic="boxes/d")
    assert (found["code"], found["readings"], len(found["refused"])) == (1, [], 1)


@pytest.mark.parametrize("name", FILES)
def test_draft_reads_its_own_file(tried: Try, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    """The draft is TOML that loads, and a try of it gives the readings whose names tell what they are."""
    text, right = FILES[name]
    (tmp_path / name).write_text(text)
    formats_draft(load({}), tmp_path / name, name="mine")
    drafted = capsys.readouterr().out
    found = tried(name, text, drafted)
    got = [
        (one["sensor_id"].partition("/")[2], one["quantity"], one["start"], one["value"]) for one in found["readings"]
    ]
    if name == "said.txt":  # stamped on receipt
        got = [(*one[:2], "", one[3]) for one in got]
    assert [(*one[:3], round(one[3], 6)) for one in got] == right, drafted
    tomllib.loads(drafted)


def test_draft_of_civil_days(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Counts of dates are of days that may have 23 hours, in UTF-16 too; a battery without a unit is not guessed at."""
    file = tmp_path / "days.csv"
    rows = "".join(f"12,2026-03-{day},{2400 - day},88\n" for day in (28, 29, 30))
    file.write_text(f"counter_id,date,bikes,battery\n{rows}", "utf-16")
    formats_draft(load({}), file)
    drafted = capsys.readouterr().out
    assert 'period = "day"' in drafted
    assert '# { value = "/battery", quantity = "" },' in drafted


def test_draft_of_decimal_commas(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Places and values as a Dutch spreadsheet writes them; what has two points and no comma is no number."""
    file = tmp_path / "comma.csv"
    file.write_text("station;versie;tijd;lat;lon;NO2\na;1.2.3;2026-05-04T08:00Z;53,21;6,57;1.012,5\n" * 3)
    formats_draft(load({}), file, name="mine")
    lines = capsys.readouterr().out.splitlines()
    assert {'decimal = ","', 'lon = "/lon"', 'lat = "/lat"'} <= set(lines)
    assert not any("versie" in line for line in lines)


def test_draft_says_what_must_be_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Zone and unit that the file does not tell, and columns without a quantity, are comments."""
    file = tmp_path / "dutch.csv"
    file.write_text(FILES["dutch.csv"][0])
    formats_draft(load({}), file)
    drafted = capsys.readouterr().out
    assert "# above the header: Telpunten juni" in drafted
    assert '# { value = "/Bak", quantity = "" },' in drafted
    assert '{ value = "/Snelheid (km~1h)", quantity = "vehicle_speed", unit = "km/h" },\n' in drafted
    assert 'zone = "Europe/Amsterdam"  # the file does not tell: ask' in drafted
    assert 'decimal = ","' in drafted


@pytest.mark.shared
def test_draft_of_every_recorded_file_loads(
    tried: Try, shared_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever JSON or CSV is drafted from, the draft is a mapping file that loads and can be tried."""
    folders = (shared_data.parent / "cases", shared_data / "payloads")
    paths = [path for one in folders for path in sorted(one.rglob("*")) if path.suffix in (".json", ".jsonl", ".csv")]
    kept = dict(sources._sources)
    for path in paths:
        sources._sources.clear()
        sources._sources.update(kept)
        formats_draft(load({}), path, name="mine")
        rules = tmp_path / "mine.toml"
        rules.write_text(capsys.readouterr().out)
        with suppress(typer.Exit):  # nothing was read
            formats_try(load({}), path, mapping=rules, form="json")
        capsys.readouterr()
    assert len(paths) > 50
