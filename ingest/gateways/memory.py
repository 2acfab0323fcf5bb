"""
What a gateway's job remembers over a restart: what was published, how far it got, and what the source's answers were.

One small SQLite file for each job in the data directory. One transaction lasts from turn to turn, and so keeps other
processes out. What a turn writes counts only when the broker has its messages: then `ingest.gateways.schedule` calls
`keep`.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec
import structlog

T = TypeVar("T")
D = TypeVar("D")

_SCHEMA = Path(__file__).with_name("memory.sql").read_text("utf-8")

log = structlog.get_logger("ingest.gateways")


class Taken(Exception):  # noqa: N818 - named for what happened
    """Another process polls this source from the same data directory."""


class Memory:
    """One job's memory; raises Taken when another process has it open, OSError where the file cannot be used."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._written: dict[str, bytes] = {}
        try:
            self._database = self._opened()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
                raise Taken(f"{path.stem} is polled by another process with this data directory") from None
            raise OSError(f"{path}: {error}") from error
        except sqlite3.DatabaseError as error:
            self._begin_anew(error)

    def _opened(self) -> sqlite3.Connection:
        """Open the file with its transaction begun; raises sqlite3.DatabaseError for one that is damaged or in use."""
        database = sqlite3.connect(self._path, timeout=0, isolation_level=None, check_same_thread=False)
        try:
            database.executescript(_SCHEMA)
            if (found := database.execute("PRAGMA quick_check").fetchone()) != ("ok",):
                raise sqlite3.DatabaseError(*found)
        except BaseException:
            database.close()
            raise
        return database

    def _begin_anew(self, error: sqlite3.DatabaseError) -> None:
        log.warning("a gateway's memory cannot be read, it begins anew", file=str(self._path), error=str(error))
        for part in self._path.parent.glob(f"{self._path.name}*"):
            part.replace(part.with_name(f"damaged-{part.name}"))
        self._database = self._opened()

    def close(self) -> None:
        """Let another process have the file; what was not kept is forgotten."""
        self._database.close()

    def note(self, name: str, kind: type[T], default: D) -> T | D:
        """Give what was written under a name, or the default, also where the file has it in another form."""
        stored = self._database.execute("SELECT value FROM note WHERE name = ?", (name,)).fetchone() or (None,)
        raw = self._written.get(name, stored[0])
        try:
            return default if raw is None else msgspec.json.decode(raw, type=kind)
        except msgspec.DecodeError:
            return default

    def learn(self, name: str, value: object) -> None:
        """Write something that stays true if the turn fails."""
        self._change("INSERT OR REPLACE INTO note VALUES (?, ?)", [(name, msgspec.json.encode(value))])

    def write(self, name: str, value: object) -> None:
        """Write something that counts when the turn ends well."""
        self._written[name] = msgspec.json.encode(value)

    def is_new(self, key: str, mark: str, now: int) -> bool:
        """Tell whether a measurement was not published yet, or with another mark: its value is another one now."""
        return not self._change("UPDATE published SET met = ? WHERE key = ? AND mark = ?", [(now, key, mark)])

    def publish(self, marks: Mapping[str, str], now: int) -> None:
        """Note measurements that are on their way to the broker."""
        rows = [(key, mark, now) for key, mark in marks.items()]
        self._change("INSERT OR REPLACE INTO published VALUES (?, ?, ?)", rows)

    def keep(self, before: int, *, is_whole: bool) -> None:
        """
        Keep what is known to be published, and what was learnt; of a turn that went well also what else it wrote.

        Measurements that were last met before `before` are forgotten.
        """
        if is_whole:
            self._change("INSERT OR REPLACE INTO note VALUES (?, ?)", list(self._written.items()))
        self._written = {}
        self._change("DELETE FROM published WHERE met < ?", [(before,)])
        self._database.execute("COMMIT")
        self._database.execute("BEGIN IMMEDIATE")

    def forget(self) -> None:
        """Forget what the turn wrote; a file that was damaged meanwhile is put aside."""
        self._written = {}
        try:
            self._database.rollback()
            self._database.execute("BEGIN IMMEDIATE")
            self._database.execute("SELECT count(*) FROM published")
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as error:
            self._database.close()
            self._begin_anew(error)

    def _change(self, statement: str, rows: Sequence[tuple[object, ...]]) -> int:
        """Change rows in the transaction, and give how many."""
        if not self._database.in_transaction:  # the last attempt may have failed
            self._database.execute("BEGIN IMMEDIATE")
        return self._database.executemany(statement, rows).rowcount
