"""
The schema, forward only: numbered migrations, then the views whose text changed, and what each migration makes again.

`stadspuls migrate` and `stadspuls up` call `migrate`; `edition` finds out which kind of database it is.
"""

import re
from collections.abc import Iterator
from datetime import timedelta
from enum import StrEnum
from hashlib import sha256
from importlib.resources import files
from itertools import dropwhile

from aggregates.store.statements import expanded
from aggregates.store.store import Store, StoreError, Transaction
from ingest.vocabulary.air_index import bands
from ingest.vocabulary.quantities import QUANTITIES
from ingest.vocabulary.sources import SOURCES

LEVELS = ("5m", "1h", "1d")


class Edition(StrEnum):
    """What kind of database holds the hub."""

    TIMESCALE = "timescale"
    TIMESCALE_APACHE = "timescale-apache"
    POSTGRES = "postgres"


def migrate(store: Store, zone: str, chunk: timedelta = timedelta(days=1)) -> Edition:
    """
    Bring the schema up to date and return the edition.

    `zone` is where civil days begin, `chunk` the length of TimescaleDB's chunks. Only one migration runs at a time.
    Raises `aggregates.store.store.StoreError`, also where a view that must change has views of others built on it.
    """
    with store.transaction() as tx:
        tx.rows("lock_migration")
        tx.script(_schema("bootstrap"))
        done = {name for (name,) in tx.rows("list_migrations")}
        for name, text in _numbered():
            if name not in done:
                tx.script(text)
                tx.rows("note_migration", name=name)
        found = edition(tx)
        tx.script(_schema("postgres" if found is Edition.POSTGRES else "timescale"), chunk=chunk)
        _mirror(tx, zone)
        _make_views(tx)
        tx.script(_schema("locks"))
        tx.script(_schema("grants"))
    return found


def edition(tx: Transaction) -> Edition:
    """Find the edition by the licence of TimescaleDB, where the database has it."""
    ((licence,),) = tx.rows("read_timescale_licence")
    if licence is None:
        return Edition.POSTGRES
    return Edition.TIMESCALE if licence == "timescale" else Edition.TIMESCALE_APACHE


def _mirror(tx: Transaction, zone: str) -> None:
    """Write the registries into the database, where the views join them."""
    for quantity in QUANTITIES.values():
        tx.rows(
            "upsert_quantity", quantity=quantity.name, unit=quantity.unit, aggregation=str(quantity.aggregation),
            zone=quantity.zone or zone, coverage=quantity.coverage, memory=quantity.memory, hours=quantity.hours,
        )  # fmt: skip
    for source in SOURCES.values():
        tx.rows(
            "upsert_source", source=source.name, title=source.title, class_=str(source.source_class),
            licence=source.licence, commercial_use=source.commercial_use,
        )  # fmt: skip
    tx.rows("delete_index_bands")
    for band in bands():
        tx.rows("insert_index_band", **band)


def _make_views(tx: Transaction) -> None:
    """Make anew the views whose text changed since they were made, and those after them, which stand on them."""
    texts = dict(_views())
    known = dict(tx.rows("list_views"))
    digests = {view: sha256(text.encode()).hexdigest() for view, text in texts.items()}
    changed = list(dropwhile(lambda view: known.get(view) == digests[view], texts))
    dropped = changed + [view for view in known if view not in texts]
    if built := tx.rows("list_built_on", views=dropped):
        raise StoreError(
            f"{', '.join(name for (name,) in built)} built on views that this version changes, expected none:"
            " keep their definitions, drop them, migrate, make them again"
        )
    if dropped:
        tx.script(f"DROP VIEW IF EXISTS {', '.join(dropped)}")
    for view in changed:
        tx.script(texts[view])
        tx.script(f"COMMENT ON VIEW {view} IS 'made by stadspuls of {digests[view]}'")


def _views() -> Iterator[tuple[str, str]]:
    """Give the name and the statement of each view; none stands on a later one."""
    sensors = [_schema("sensor_view").replace("<level>", level) for level in LEVELS]
    whole = re.sub("--[^\n]*\n", "", "\n".join([_schema("views"), *sensors, _schema("index_view")]))
    for text in expanded(whole).split("CREATE VIEW ")[1:]:
        yield text.split()[0], f"CREATE VIEW {text.strip()}"


def _numbered() -> list[tuple[str, str]]:
    found = [entry for entry in files("aggregates").joinpath("schema").iterdir() if entry.name[:4].isdigit()]
    return sorted((entry.name, entry.read_text("utf-8")) for entry in found)


def _schema(name: str) -> str:
    return files("aggregates").joinpath("schema", f"{name}.sql").read_text("utf-8")
