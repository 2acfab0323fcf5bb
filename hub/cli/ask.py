"""
Asking and publishing: `query`, `usual`, `limits`, `history`, `export`, `groups`, `sensors`, `release`, `report` and
`grafana`.

`aggregates.ask.query`, `aggregates.export.export` and `aggregates.release` answer, loaded by the command that is
called, and the lists of the API (`hub.cli.lists`); here are the flags, and what is printed meanwhile.
"""

import json
import time
from importlib.metadata import version
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo

import typer

from aggregates.areas.groups import PREFIX, Groups, import_groups
from aggregates.ask.dates import NO_AREAS, BadQuestion, known_at
from aggregates.ask.periods import LONG
from aggregates.store.catalogue import import_sensors
from aggregates.store.store import Store
from hub.cli.common import NO, command, end, note_waiting, open_store, range_of, stamp
from hub.cli.lists import command_of, rows_of
from hub.cli.output import Format, errors, write
from hub.settings.settings import Settings
from ingest.files.catalogue import read_catalogue
from ingest.vocabulary.values import read_toml


@command("query")
def query(
    settings: Settings, store: Store, quantity: str, first: str, last: str, window: str, sensor: str | None = None,
    group: str | None = None, channels: bool = False, area: str | None = None, vintage: int | None = None,
    period: str | None = None, profile: str | None = None, percentile: float | None = None, as_of: str | None = None,
    form: Format = "table", out: Path | None = None,
) -> None:  # fmt: skip
    """
    Ask for aggregates with their evidence, or with --period for averages over days of a kind.

    Days are asked for and answered by their date: civil for traffic, UTC+1 for air.
    """
    from aggregates.ask.query import Question, ask

    some = tuple(filter(None, (sensor, group and f"{PREFIX}{group}"))) or None
    if period or profile or percentile or window in LONG:
        averages = rows_of(settings, "/percentiles" if percentile else "/averages", {
            "quantity": quantity, "from": first, "to": last, "window": window, "period": period, "profile": profile,
            "sensor": some and [*some], "channels": channels or None, "area": area, "vintage": vintage,
            "percentile": percentile, "asOf": as_of,
        })  # fmt: skip
        if not averages.num_rows:
            errors.print("no sensors or no days of this kind found for this question")
        write(averages.drop_columns(["lon", "lat"]), form, out, settings.timezone)
        return
    span = range_of(first, last, settings.timezone, window, quantity)
    question = Question(quantity, *span, window, some, channels, area, vintage)
    known = stamp("as-of", as_of, settings.timezone) if as_of else None
    with known_at(store, known, window):
        note_waiting(store, span, window, areas=question.of_area)
        frame = ask(store, question)
        if frame.empty:
            none = area and store.rows("read_newest_vintage") == [(None,)]
            errors.print(NO_AREAS if none else "no windows found for this question")
    write(frame, form, out, settings.timezone)


command_of("usual", "/usual")
command_of("limits", "/limits")
command_of("history", "/history")
command_of("release list", "/releases")
command_of("sensors list", "/sensors")
command_of("groups list", "/groups")


@command("export")
def export(
    settings: Settings, store: Store, out: Path, dataset: list[str] | None = None, window: list[str] | None = None,
    quantity: str | None = None, first: str | None = None, last: str | None = None, form: str = "parquet",
    anew: bool = False,
) -> None:  # fmt: skip
    """Export readings, aggregates and areas as Parquet, partitioned the hive way; run again it writes what changed."""
    from aggregates.export.export import EVER, Wanted, Written
    from aggregates.export.export import export as export_store

    usual = Wanted()
    wanted = Wanted(
        tuple(dataset or usual.datasets), tuple(window or usual.windows), quantity,
        stamp("from", first, settings.timezone) if first else EVER[0],
        stamp("to", last, settings.timezone) if last else EVER[1], form, settings.timezone, anew,
    )  # fmt: skip
    began, written = time.monotonic(), list[Written]()
    note_waiting(store, (wanted.first, wanted.last), "1d", areas="area_aggregates" in wanted.datasets)
    for one in export_store(store, out, wanted):
        written.append(one)
        errors.print(f"{one.path}: {one.rows} rows")
    rows, seconds = sum(one.rows for one in written), time.monotonic() - began
    errors.print(f"{len(written)} files with {rows} rows written to {out} in {seconds:.1f} s")


@command("groups import")
def groups_import(_: Settings, store: Store, file: Path, /) -> None:
    """Make the groups of a TOML file those of the hub; others are deleted."""
    groups = read_toml(file, Groups)
    import_groups(store, groups)
    errors.print(f"{len(groups)} groups imported; their figures follow with the next roll-up")


@command("sensors import", "database")
def sensors_import(settings: Settings, file: Path, /) -> None:
    """Import a catalogue of sensors."""
    if file.name.removesuffix(".gz").endswith(".xml"):
        from ingest.files.site_table import SITES_FILE, import_table

        settings.data_dir.mkdir(parents=True, exist_ok=True)
        errors.print(f"{import_table(file, settings.data_dir / SITES_FILE)} measurement sites imported")
        return
    entries = read_catalogue(file)
    with open_store(settings) as store:
        import_sensors(store, entries)
    errors.print(f"{len(entries)} sensors imported")


@command("release make")
def release_make(
    settings: Settings, store: Store, name: str, /, first: str, last: str, query: Path, releases: Path | None = None
) -> None:
    """Freeze the tables that a file asks for: Parquet and CSV, a manifest, and how to cite it."""
    from aggregates.release.inquiry import Inquiry
    from aggregates.release.release import make

    zone, span = ZoneInfo(settings.timezone), range_of(first, last, settings.timezone)
    begin, until = (one.astimezone(zone).date() for one in span)
    folder = releases or settings.data_dir / "releases"
    note_waiting(store, span, "1d", areas=True)
    inquiry = read_toml(query, Inquiry)
    made = make(store, folder, name, inquiry, (begin, until), settings.reporting, version("stadspuls"))
    for file in made["files"]:
        errors.print(f"{folder / name / file['file']}: {file['rows']} rows")
    typer.echo(made["citation"])


@command("release verify")
def release_verify(
    settings: Settings, store: Store, name: str, /, releases: Path | None = None, form: Format = "table",
    out: Path | None = None,
) -> None:  # fmt: skip
    """Say what is another figure now than in a release, and which hours changed since and why; exit 1 if anything."""
    from aggregates.release.release import changes, damaged, read

    folder = releases or settings.data_dir / "releases"
    manifest = read(store, name)
    note_waiting(store, range_of(manifest["from"], manifest["to"], settings.timezone), "1d", areas=True)
    if broken := damaged(folder, manifest):
        end(NO, f"not the files that were released, or missing, in {folder / name}: {', '.join(broken)}")
    found = changes(store, folder, manifest, settings.reporting)
    write(found, form, out, settings.timezone)
    if len(found):
        end(NO, f"{name} has other figures now, as of {manifest['as_of']} it had these")
    errors.print(f"{name} is what the hub still knows")


@command("report year")
def report_year(
    settings: Settings, store: Store, year: int, sensor: str | None = None, area: str | None = None,
    language: Literal["nl", "en"] = "nl", out: Path | None = None,
) -> None:  # fmt: skip
    """Make the page of a year of a sensor or an area: figures, chart, coverage, method and sources."""
    from aggregates.release.report import report

    if (sensor is None) == (area is None):
        raise BadQuestion("expected either --sensor or --area")
    page = report(store, str(sensor or area), year, settings.reporting, version("stadspuls"), language)
    if out is None:
        typer.echo(page)
    else:
        out.write_text(page, "utf-8")
        errors.print(f"{out}: written, print it from a browser")


@command("grafana push", "grafana_url", "grafana_token", "grafana_database")
def grafana_push(settings: Settings, dry_run: bool = False) -> None:
    """Bring dashboards, folders and data source of an existing Grafana up to date; a second time changes nothing."""
    from hub.grafana.dashboards import dashboards
    from hub.grafana.push import push

    if settings.grafana_url is None or settings.grafana_token is None:
        raise BadQuestion("no --grafana-url or no --grafana-token, expected both (or STADSPULS_GRAFANA_URL, ..._TOKEN)")
    database = settings.grafana_database
    source = data_source(database.get_secret_value()) if database else None
    token = settings.grafana_token.get_secret_value()
    changes = push(settings.grafana_url, token, dashboards(), source, dry=dry_run)
    for changed, difference in changes:
        errors.print(changed)
        if dry_run:
            print("\n".join(difference))
    errors.print(f"{len(changes)} {'to change' if dry_run else 'changed'}")


@command("grafana write")
def grafana_write(_settings: Settings, out: Path) -> None:
    """Write the dashboards as files, for a Grafana that reads them from a directory."""
    from hub.grafana.dashboards import dashboards

    made = dashboards()
    for uid, (folder, dashboard) in made.items():
        path = out / folder / f"{uid}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(dashboard, indent=1, sort_keys=True, ensure_ascii=False) + "\n", "utf-8")
    errors.print(f"{len(made)} dashboards in {out}")


def data_source(url: str) -> dict[str, object]:
    """Describe the database to Grafana; raises BadQuestion for what is no postgresql:// URL with a user."""
    parts = urlsplit(url)
    if parts.scheme not in ("postgresql", "postgres") or not parts.hostname or not parts.username:
        raise BadQuestion("grafana_database is not postgresql://user:password@host[:port]/database")
    return {
        "name": "Stadspuls", "uid": "stadspuls", "type": "grafana-postgresql-datasource", "access": "proxy",
        "url": f"{parts.hostname}:{parts.port or 5432}", "user": unquote(parts.username), "isDefault": False,
        "jsonData": {"database": parts.path.lstrip("/"), "sslmode": "prefer", "postgresVersion": 1500},
        "secureJsonData": {"password": unquote(parts.password or "")},
    }  # fmt: skip
