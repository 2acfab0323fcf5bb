"""
The whole hub as files that DuckDB, pandas and polars read: readings, aggregates and areas, and only what changed.

`stadspuls export` calls `export`. `aggregates.export.plan` plans the files. Sources and licences stand in
`_SOURCES.json` and in every Parquet file; `aggregates.export.forms` writes the rows, `aggregates.export.areas` the
areas themselves.
"""

import fcntl
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from aggregates.ask.dates import BadQuestion
from aggregates.ask.listings import joined
from aggregates.ask.query import READINGS, SHORT, WINDOWS, Question, tables
from aggregates.export.areas import export_areas, origins, write_sources
from aggregates.export.forms import write_file
from aggregates.export.plan import LAYOUTS, LONG_AGO, ExportFile, Journal, Scope
from aggregates.store.store import Store
from ingest.vocabulary.quantities import QUANTITIES

DATASETS = ("readings", "aggregates", "channels", "area_aggregates", "areas")
EVER = (LONG_AGO, datetime(2200, 1, 1, tzinfo=UTC))


class Wanted(msgspec.Struct, frozen=True):
    """
    What to export: datasets, windows of the aggregates, one quantity or all, starts in `[first, last)`, and the form.

    `zone` is the local time of the form csv-nl. `anew` writes every file again. Raises BadQuestion at birth.
    """

    datasets: tuple[str, ...] = ("readings", "aggregates", "area_aggregates", "areas")
    windows: tuple[str, ...] = ("1h", "1d")
    quantity: str | None = None
    first: datetime = LONG_AGO
    last: datetime = EVER[1]
    form: str = "parquet"
    zone: str = "Europe/Amsterdam"
    anew: bool = False

    def __post_init__(self) -> None:
        for what, asked, known in (
            ("dataset", self.datasets, DATASETS), ("window", self.windows, WINDOWS), ("format", (self.form,), LAYOUTS),
            ("quantity", (self.quantity,) if self.quantity else (), QUANTITIES),
        ):  # fmt: skip
            if strange := [name for name in asked if name not in known]:
                raise BadQuestion(f"{what} {strange[0]!r}, expected one of {', '.join(known)}")

    def has(self, part: ExportFile) -> bool:
        """Whether a file may hold what is asked for."""
        first, last = part.span
        return self.quantity in (None, part.quantity) and first < self.last and last > self.first


class Written(NamedTuple):
    """A file that was written, with its rows."""

    path: Path
    rows: int


def export(store: Store, out: Path, wanted: Wanted) -> Generator[Written, None, None]:
    """
    Write what changed since the last export into `out`, file by file; running hours are left out until they close.

    An export that was killed goes on where it was. Raises BadFile where `out` holds another's journal,
    `aggregates.store.errors.StoreError`, and OSError, also where another export works in it (BlockingIOError).
    """
    with _alone(out):
        journal = Journal.read(out / f"_EXPORT_{wanted.form}.json", LAYOUTS[wanted.form])
        write_sources(out, origins(store))
        vintages = [vintage for (vintage,) in store.rows("export_vintages")]
        for dataset in wanted.datasets:
            for vintage in vintages if dataset == "areas" else ():
                yield Written(*export_areas(store, vintage, None, out / f"areas/vintage={vintage}", "geoparquet"))
            for scope in _scopes(dataset, wanted.windows, vintages):
                yield from _scope(store, out, journal, scope, wanted)


@contextmanager
def _alone(out: Path) -> Iterator[None]:
    """Hold the lock of a directory; the system lets go of it when a process ends, however it does."""
    out.mkdir(parents=True, exist_ok=True)
    with (out / "_EXPORT.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise BlockingIOError(error.errno, "another export works here, expected one at a time", str(out)) from None
        yield


def _scope(store: Store, out: Path, journal: Journal, scope: Scope, wanted: Wanted) -> Iterator[Written]:
    ((at, closed),) = store.rows("export_clock")
    path = out / f"_EXPORT_{wanted.form}.json"
    changed = _changed(store, scope, None if wanted.anew else journal.since(scope.name), wanted)
    changed |= dict.fromkeys(filter(wanted.has, journal.unfinished(scope, closed)), at)
    parts = sorted(changed) if wanted.anew else journal.missing(changed)
    for part, written in zip(parts, _side_by_side(store, out, parts, wanted, closed), strict=True):
        if written:
            yield written
        journal.note(part, at, closed)
        journal.write(path)
    if (wanted.quantity, wanted.first, wanted.last) == (None, *EVER):  # nothing was left out
        journal.finish(scope.name, at)
        journal.write(path)


def _scopes(dataset: str, windows: tuple[str, ...], vintages: list[int]) -> list[Scope]:
    """Give what a dataset consists of; areas themselves, which are few, are written whole each time."""
    if dataset in ("areas", "readings"):
        return [Scope(dataset)] if dataset == "readings" else []
    if dataset == "area_aggregates":
        return [Scope(dataset, window, vintage) for vintage in vintages for window in windows if window not in SHORT]
    return [Scope(dataset, window) for window in windows]


def _changed(store: Store, scope: Scope, since: datetime | None, wanted: Wanted) -> dict[ExportFile, datetime]:
    """Find the files of which something was written `since` a moment (None: whenever), and when the newest was."""
    nothing_yet = since is None and scope.window
    rows = store.rows(
        "export_changed_areas" if scope.vintage else "export_span" if nothing_yet else "export_changed",
        since=since or LONG_AGO, first=wanted.first, last=wanted.last, vintage=scope.vintage,
        window=scope.window, quantity=wanted.quantity,
    )  # fmt: skip
    return {ExportFile(scope, quantity, day): at for quantity, day, at in rows}


def _content(store: Store, part: ExportFile, closed: datetime) -> Iterator[pa.Table]:
    """Fetch readings of closed hours, or windows that have ended."""
    first, last = part.span
    dataset, window, vintage = part.scope
    end = last if window == "1d" else max(first, min(last, closed))  # more may have closed since
    if dataset == "readings":
        return tables(store, Question(part.quantity, first, end, READINGS))
    if vintage:
        scope: dict[str, Any] = {"window": window, "vintage": vintage, "first": first, "last": last}
        found = iter([joined(store, **scope, quantities=[part.quantity])])
    else:
        found = tables(store, Question(part.quantity, first, end, window, channels=dataset == "channels"))
    return (table.filter(pc.less_equal(table["end"], pa.scalar(closed))) for table in found)


def _side_by_side(
    store: Store, out: Path, parts: Sequence[ExportFile], wanted: Wanted, closed: datetime
) -> Iterator[Written | None]:
    """Write two files at once, each from a connection of its own, and give them in order."""
    with closing(store.another()) as other, ThreadPoolExecutor(2) as pool:
        free: SimpleQueue[Store] = SimpleQueue()
        free.put(store)
        free.put(other)

        def write(part: ExportFile) -> Written | None:
            mine = free.get()
            try:
                return _written(mine, out, part, wanted, closed)
            finally:
                free.put(mine)

        yield from pool.map(write, parts)


def _written(store: Store, out: Path, part: ExportFile, wanted: Wanted, closed: datetime) -> Written | None:
    """Write one file; without rows there is none, but readings that were dropped since stay in the export."""
    path = out / part.folder / part.name(wanted.form)
    rows, sensors = 0, set[str]()
    left_out = {"series", "quantity", "vintage"} if wanted.form == "parquet" else {"series"}  # the folders have them

    def counted(table: pa.Table) -> pa.Table:
        nonlocal rows
        rows += table.num_rows
        if "sensor_id" in table.column_names:
            sensors.update(map(str, table["sensor_id"].unique().to_pylist()))
        return table.select([name for name in table.column_names if name not in left_out])

    def beside() -> dict[str, object]:
        return {"sources": origins(store, part.scope.vintage or None, part.quantity, [*sensors] or None)}

    full = filter(len, _ahead(_content(store, part, closed)))
    if first := next(full, None):
        write_file(path, wanted.form, map(counted, chain([first], full)), beside, wanted.zone)
        return Written(path, rows)
    if part.scope.dataset != "readings":
        path.unlink(missing_ok=True)
    return None


def _ahead(found: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """Fetch the next table while this one is written: the database has a core of its own to work on."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, found, None)
        while (table := coming.result()) is not None:
            coming = pool.submit(next, found, None)
            yield table
