"""
Which files an export consists of, and which of them must be written: plan and journal of `aggregates.export.export`.

    readings/quantity=no2/date=2024-06-01/part.parquet            a UTC day of readings
    aggregates/window=1h/quantity=no2/month=2024-06/part.parquet  a UTC month of what each sensor counted
    channels/...                                                  the same of every series
    area_aggregates/vintage=2024/window=1h/quantity=no2/month=2024-06/part.parquet

Pure, but for the journal's file.
"""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import NamedTuple

import msgspec

from aggregates.export.forms import replaced
from ingest.vocabulary.values import BadFile, raised_as

DAY = timedelta(days=1)
# A row carries the time at which its transaction began: one that took up to this long is still seen.
LONGEST_TRANSACTION = timedelta(hours=1)
LONG_AGO = datetime(1900, 1, 1, tzinfo=UTC)
LAYOUTS = {"parquet": 3, "csv": 4, "csv-nl": 4, "xlsx": 1}  # of the names and columns of the files, by form


class Scope(NamedTuple):
    """What is complete as of one moment: a dataset, of one window and vintage where it has them."""

    dataset: str
    window: str = ""
    vintage: int = 0

    @property
    def name(self) -> str:
        """Its name in the journal."""
        return "/".join(str(word) for word in self if word)


class ExportFile(NamedTuple):
    """A file: a quantity's readings of a UTC day, or its windows of a UTC month; `day` is the first of it."""

    scope: Scope
    quantity: str
    day: date

    @property
    def folder(self) -> str:
        """
        Where it stands below the export's directory.

        >>> ExportFile(Scope("aggregates", "1h"), "no2", date(2024, 6, 1)).folder
        'aggregates/window=1h/quantity=no2/month=2024-06'
        """
        dataset, window, vintage = self.scope
        keys = {"vintage": vintage, "window": window, "quantity": self.quantity}
        period = f"month={self.day:%Y-%m}" if window else f"date={self.day}"
        return "/".join([dataset, *(f"{key}={value}" for key, value in keys.items() if value), period])

    @classmethod
    def read(cls, scope: Scope, folder: str) -> "ExportFile":
        """Give the file of a month that stands in a folder."""
        keys = dict(word.split("=") for word in folder.split("/")[1:])
        return cls(scope, keys["quantity"], date.fromisoformat(f"{keys['month']}-01"))

    def name(self, form: str) -> str:
        """
        Give its name; of CSV and xlsx, which are opened by themselves, with what the folders say.

        >>> ExportFile(Scope("aggregates", "1h"), "no2", date(2024, 6, 1)).name("csv")
        'aggregates_1h_no2_2024-06.csv'
        """
        if form == "parquet":
            return "part.parquet"
        return "_".join(word.rpartition("=")[2] for word in self.folder.split("/")) + f".{form.removesuffix('-nl')}"

    @property
    def span(self) -> tuple[datetime, datetime]:
        """What it holds: starts from the first, without the last."""
        after = (self.day.replace(day=1) + 32 * DAY).replace(day=1) if self.scope.window else self.day + DAY
        return datetime.combine(self.day, time(), UTC), datetime.combine(after, time(), UTC)


class Journal(msgspec.Struct):
    """
    What an export in a directory has: a dataset's everything as of a moment, and single files as of later.

    It is written after every file, so that an export that was killed goes on where it was. Of another layout nothing
    counts as done: files with other columns are written again.
    """

    complete: dict[str, datetime]  # by scope
    done: dict[str, dict[str, datetime]]  # by scope and folder
    layout: int = 0
    running: dict[str, dict[str, datetime]] = {}  # the same, of files without a running day: when hours were closed

    @classmethod
    def read(cls, path: Path, layout: int) -> "Journal":
        """Read a journal, or begin one; raises BadFile for a file that is no journal."""
        with raised_as(BadFile, msgspec.DecodeError, at=f"{path} is no journal of an export"):
            found = msgspec.json.decode(path.read_bytes(), type=cls) if path.exists() else None
        return found if found and found.layout == layout else cls({}, {}, layout)

    def write(self, path: Path) -> None:
        """Write it in the place of the one before."""
        with replaced(path) as file:
            file.write(msgspec.json.format(msgspec.json.encode(self), indent=1))

    def since(self, scope: str) -> datetime | None:
        """From when on what was written in the database may be missing; None: there is nothing of it yet."""
        if scope not in self.complete and not self.done.get(scope):
            return None
        return self.complete.get(scope, LONG_AGO) - LONGEST_TRANSACTION

    def missing(self, changed: Mapping[ExportFile, datetime]) -> list[ExportFile]:
        """Give the files that must be written, of those that hold something changed."""
        return [part for part, at in sorted(changed.items()) if at >= self._as_of(part) - LONGEST_TRANSACTION]

    def unfinished(self, scope: Scope, closed: datetime) -> list[ExportFile]:
        """Give the files without a day that ran when they were written, and may have ended since."""
        known = self.running.get(scope.name, {})
        return [ExportFile.read(scope, folder) for folder, before in known.items() if before < closed]

    def note(self, part: ExportFile, at: datetime, closed: datetime) -> None:
        """Remember that a file has everything as of a moment, when hours were closed until another."""
        self.done.setdefault(part.scope.name, {})[part.folder] = at
        running = self.running.setdefault(part.scope.name, {})
        running.pop(part.folder, None)
        if part.scope.window == "1d" and closed < part.span[1] + 2 * DAY:
            running[part.folder] = closed

    def finish(self, scope: str, at: datetime) -> None:
        """Remember that a dataset has everything as of a moment."""
        self.complete[scope] = at
        self.done.pop(scope, None)

    def _as_of(self, part: ExportFile) -> datetime:
        return self.done.get(part.scope.name, {}).get(part.folder) or self.complete.get(part.scope.name, LONG_AGO)
