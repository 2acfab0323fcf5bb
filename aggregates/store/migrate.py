"""
The schema, forward only: numbered migrations, each by itself, then the views whose text changed, and what each makes
again.

`stadspuls migrate` and `stadspuls up` call `migrate`; `edition` finds out which kind of database it is.
"""

import re
import tomllib
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import timedelta
from enum import StrEnum
from hashlib import sha256
from importlib.resources import files
from itertools import dropwhile, islice
from time import sleep

from msgspec import to_builtins

from aggregates.store.errors import Away, Clash, StoreError
from aggregates.store.statements import expanded, statement_text
from aggregates.store.store import Store, Transaction
from ingest.vocabulary.air_index import bands
from ingest.vocabulary.backoff import pauses
from ingest.vocabulary.quantities import QUANTITIES
from ingest.vocabulary.sources import SOURCES

LEVELS = ("5m", "15m", "1h", "1d")
OLDEST_POSTGRES, OLDEST_TIMESCALE = 15, (2, 18)  # docs/operations.md names those that it was tested with
_CONCURRENTLY = "_concurrently.sql"  # files of statements that refuse a transaction, and that a second run makes whole
_ATTEMPTS = 60  # to get the locks of a file, some ten minutes
_LOOK = 0.1  # s between two looks whether another migration has ended


class Edition(StrEnum):
    """What kind of database holds the hub."""

    TIMESCALE = "timescale"
    TIMESCALE_APACHE = "timescale-apache"
    POSTGRES = "postgres"


def migrate(store: Store, zone: str, chunk: timedelta = timedelta(days=1)) -> Edition:
    """
    Bring the schema up to date and return the edition.

    `zone` is where civil days begin, `chunk` the length of TimescaleDB's chunks. Only one migration runs at a time. A
    role that may not change the schema finds it up to date, and writes the registries alone. Each numbered file is a
    transaction, so what was killed goes on where it was; none waits for a lock longer than others can wait for it.
    Raises `aggregates.store.errors.StoreError`, also where it is not, where the server is too old, and where a view
    that must change has views of others built on it.
    """
    with closing(store.another()) as own:  # whose end frees the lock, however it ends
        while not own.rows("take_session_lock", name="stadspuls migrate")[0][0]:
            sleep(_LOOK)  # a session that waits in the database would hold up what is made concurrently
        with own.transaction() as tx:
            ((may, is_there),) = tx.rows("may_migrate")
            if not may:
                _check_current(tx, is_there=is_there)
                _mirror(tx, zone)
                return edition(tx)
        _patiently(own, lambda tx: tx.script(_schema("bootstrap")))
        with own.transaction() as tx:
            _refuse_foreign_views(tx)
            found, lacking = edition(tx), _lacking(tx)
        for name, text in lacking:
            _apply(own, name, text)
        _patiently(own, lambda tx: _finish(tx, found, zone, chunk))
    return found


def _apply(store: Store, name: str, text: str) -> None:
    """Run a numbered file and note it: in a transaction, or first a statement at a time where its name says so."""
    if name.endswith(_CONCURRENTLY):
        for statement in text.split(";\n"):
            store.alone(statement)
        text = "SELECT"

    def run(tx: Transaction) -> None:
        tx.script(text)
        tx.rows("note_migration", name=name)

    _patiently(store, run)


def _finish(tx: Transaction, found: Edition, zone: str, chunk: timedelta) -> None:
    tx.script(_schema("postgres" if found is Edition.POSTGRES else "timescale"), chunk=chunk)
    _mirror(tx, zone)
    _make_views(tx)
    for name in ("as_of", "locks", "policies", "frozen", "grants"):
        tx.script(expanded(_schema(name)))


def _patiently(store: Store, do: Callable[[Transaction], object]) -> None:
    """Do something in a transaction; where another session is in the way, let those behind it pass and try again."""
    for wait in islice(pauses(1.0, 10.0), _ATTEMPTS):
        with suppress(Clash), store.transaction() as tx:
            tx.rows("limit_lock_wait")
            do(tx)
            return
        sleep(wait)
    raise Away(f"no lock in {_ATTEMPTS} attempts: end what holds the tables, or migrate while nothing runs")


def edition(tx: Transaction) -> Edition:
    """Find the edition by the licence of TimescaleDB, where the database has it; raises StoreError for too old ones."""
    ((server, timescale, licence),) = tx.rows("read_edition")
    if server < OLDEST_POSTGRES:
        raise StoreError(f"PostgreSQL {server}, expected {OLDEST_POSTGRES} or newer")
    if timescale is not None and tuple(map(int, timescale.split(".")[:2])) < OLDEST_TIMESCALE:
        raise StoreError(f"TimescaleDB {timescale}, expected {'.'.join(map(str, OLDEST_TIMESCALE))} or newer")
    if licence is None:
        return Edition.POSTGRES
    return Edition.TIMESCALE if licence == "timescale" else Edition.TIMESCALE_APACHE


def _check_current(tx: Transaction, *, is_there: bool) -> None:
    lacking = ["all of it"]
    if is_there:
        _, changed, _ = _view_changes(tx)
        lacking = [name for name, _ in _lacking(tx)] + changed
    if lacking:
        what = f"the schema lacks {', '.join(lacking)}, and this role may not change it"
        raise StoreError(f"{what}: run `stadspuls migrate` as its owner")


def _mirror(tx: Transaction, zone: str) -> None:
    """Write the registries into the database, where the views join them."""
    for quantity in QUANTITIES.values():
        tx.rows("upsert_quantity", zone=quantity.zone or zone, memory=quantity.memory, **to_builtins(quantity))
    for source in SOURCES.values():
        combined = [source.channels] if isinstance(source.channels, str) else source.channels
        tx.rows("upsert_source", combined=combined, **to_builtins(source))
    tx.rows("leave_out_series")
    tx.rows("delete_index_bands")
    for band in bands():
        tx.rows("insert_index_band", **band)


def _make_views(tx: Transaction) -> None:
    """Make anew the views whose text changed since they were made, and those after them, which stand on them."""
    texts, changed, dropped = _view_changes(tx)
    if dropped:
        tx.script(f"DROP VIEW IF EXISTS {', '.join(dropped)}")
    for view in changed:
        tx.script(texts[view])
        tx.script(f"COMMENT ON VIEW {view} IS 'made by stadspuls of {_digest(texts[view])}'")


def _refuse_foreign_views(tx: Transaction) -> None:
    _, _, dropped = _view_changes(tx)
    if built := tx.rows("list_built_on", views=dropped):
        raise StoreError(
            f"{', '.join(name for (name,) in built)} built on views that this version changes, expected none:"
            " keep their definitions, drop them, migrate, make them again"
        )


def _view_changes(tx: Transaction) -> tuple[dict[str, str], list[str], list[str]]:
    """Give the texts of all views, the views to make anew, and those to drop before."""
    texts, known = dict(_views()), dict(tx.rows("list_views"))
    changed = list(dropwhile(lambda view: known.get(view) == _digest(texts[view]), texts))
    return texts, changed, changed + [view for view in known if view not in texts]


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def _views() -> Iterator[tuple[str, str]]:
    """Give the name and the statement of each view; none stands on a later one."""
    sensors = [_schema("sensor_view").replace("<level>", level) for level in LEVELS]
    areas = _schema("area_view").replace("<measures>", _measures())
    parts = [_schema("views"), *sensors, _schema("stored_view"), _schema("index_view"), areas]
    whole = re.sub("--[^\n]*\n", "", "\n".join(parts))
    for text in expanded(whole).split("CREATE VIEW ")[1:]:
        yield text.split()[0], f"CREATE VIEW {text.strip()}"


def _measures() -> str:
    """Give the columns of each measure of the registry, as the view of areas and their measures has them."""
    registry = tomllib.loads(files("aggregates").joinpath("areas", "measures.toml").read_text("utf-8"))
    columns = statement_text("measure_columns")
    return ", ".join(columns.replace("<measure>", one["name"]) for one in registry["measure"])


def _lacking(tx: Transaction) -> list[tuple[str, str]]:
    """Give name and text of the numbered files that this database does not have."""
    done = {name for (name,) in tx.rows("list_migrations")}
    found = [entry for entry in files("aggregates").joinpath("schema").iterdir() if entry.name[:4].isdigit()]
    return sorted((entry.name, entry.read_text("utf-8")) for entry in found if entry.name not in done)


def _schema(name: str) -> str:
    return files("aggregates").joinpath("schema", f"{name}.sql").read_text("utf-8")
