"""
Which files an export consists of, and which of them must be written: plan and journal of `aggregates.export.export`.

    readings/quantity=no2/date=2024-06-01/part.parquet            a UTC day of readings
    aggregates/window=1h/quantity=no2/month=2024-06/part.parquet  a UTC month of what each sensor counted
    channels/...                                                  the same of every series
    area_aggregates/vintage=2024/window=1h/quantity=no2/month=2024-06/part.parquet

Pure, but for the journal's file.
"""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import NamedTuple

DAY = timedelta(days=1)
# A row carries the time at which its transaction began: one that took up to this long is still seen.
LONGEST_TRANSACTION = timedelta(hours=1)
LONG_AGO = datetime(1900, 1, 1, tzinfo=UTC)


Change = tuple[str, date, datetime]  # quantity, UTC day, when it was last written


class Scope(NamedTuple):
    """What is complete as of one moment: a dataset, of one window and vintage where it has them."""

    dataset: str
    window: str = ""
    vintage: int = 0

    @property
    def name(self) -> str:
        """Its name in the journal."""
        return "/".join(str(word) for word in self if word)

    def parts(self, changed: Iterable[Change]) -> dict["ExportFile", datetime]:
        """
        Give the files that hold what changed, and when the newest of each was written.

        >>> list(Scope("aggregates", "1h").parts([("no2", date(2024, 6, 2), LONG_AGO)]))[0].folder
        'aggregates/window=1h/quantity=no2/month=2024-06'
        """
        found: dict[ExportFile, datetime] = {}
        for quantity, day, at in changed:
            for one in self._days(day):
                part = ExportFile(self, quantity, one)
                found[part] = max(at, found.get(part, at))
        return found

    def _days(self, day: date) -> set[date]:
        if not self.window:
            return {day}
        # The local day that an hour belongs to may begin on the UTC day before.
        return {one.replace(day=1) for one in ({day, day - DAY} if self.window == "1d" else {day})}


class ExportFile(NamedTuple):
    """A file: a quantity's readings of a UTC day, or its windows of a UTC month; `day` is the first of it."""

    scope: Scope
    quantity: str
    day: date

    @property
    def folder(self) -> str:
        """Where it stands below the export's directory."""
        dataset, window, vintage = self.scope
        keys = {"vintage": vintage, "window": window, "quantity": self.quantity}
        period = f"month={self.day:%Y-%m}" if window else f"date={self.day}"
        return "/".join([dataset, *(f"{key}={value}" for key, value in keys.items() if value), period])

    @property
    def span(self) -> tuple[datetime, datetime]:
        """What it holds: starts from the first, without the last."""
        after = (self.day.replace(day=1) + 32 * DAY).replace(day=1) if self.scope.window else self.day + DAY
        return datetime.combine(self.day, time(), UTC), datetime.combine(after, time(), UTC)


class Journal:
    """
    What an export in a directory has: a dataset's everything as of a moment, and single files as of later.

    It is written after every file, so that an export that was killed goes on where it was. Of another layout nothing
    counts as done: files with other columns are written again. Raises ValueError for a file that is no journal.
    """

    LAYOUT = 2  # of the columns of the files

    def __init__(self, directory: Path, form: str) -> None:
        self._path = directory / f"_EXPORT_{form}.json"
        self._complete: dict[str, datetime] = {}  # by scope
        self._done: dict[str, dict[str, datetime]] = {}  # by scope and folder
        if self._path.exists():
            self._read()

    def since(self, scope: str) -> datetime | None:
        """From when on what was written in the database may be missing; None: there is nothing of it yet."""
        if scope not in self._complete and not self._done.get(scope):
            return None
        return self._complete.get(scope, LONG_AGO) - LONGEST_TRANSACTION

    def missing(self, changed: Mapping[ExportFile, datetime]) -> list[ExportFile]:
        """Give the files that must be written, of those that hold something changed."""
        return [part for part, at in sorted(changed.items()) if at >= self._as_of(part) - LONGEST_TRANSACTION]

    def note(self, part: ExportFile, at: datetime) -> None:
        """Remember that a file has everything as of a moment."""
        self._done.setdefault(part.scope.name, {})[part.folder] = at
        self._write()

    def finish(self, scope: str, at: datetime) -> None:
        """Remember that a dataset has everything as of a moment."""
        self._complete[scope] = at
        self._done.pop(scope, None)
        self._write()

    def _as_of(self, part: ExportFile) -> datetime:
        return self._done.get(part.scope.name, {}).get(part.folder) or self._complete.get(part.scope.name, LONG_AGO)

    def _read(self) -> None:
        try:
            found = json.loads(self._path.read_text("utf-8"))
            complete = _stamps(found["complete"])
            done = {scope: _stamps(files) for scope, files in found["done"].items()}
            if found.get("layout") == self.LAYOUT:
                self._complete, self._done = complete, done
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise ValueError(f"{self._path} is no journal of an export: {error!r}") from error

    def _write(self) -> None:
        content = {"layout": self.LAYOUT, "complete": self._complete, "done": self._done}
        draft = self._path.with_suffix(".tmp")
        draft.write_text(json.dumps(content, indent=1, default=datetime.isoformat), encoding="utf-8")
        draft.replace(self._path)


def _stamps(texts: Mapping[str, str]) -> dict[str, datetime]:
    return {name: datetime.fromisoformat(at) for name, at in texts.items()}
