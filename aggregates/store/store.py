"""
The database door: transactions, named SQL statements and binary COPY, in PostgreSQL or TimescaleDB.

`streams.commit.pipeline`, `streams.rollup.rollup` and their neighbours decide what happens in a transaction, and name
the statements of `aggregates/sql/`. Only `aggregates.store.errors`, which says what can go wrong, knows psycopg too.
"""

import select
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import cache
from typing import Any, LiteralString

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg import sql
from psycopg.rows import namedtuple_row

from aggregates.store.binary import Packed, packed, unpacked
from aggregates.store.errors import UNFIT, Refused, translated
from aggregates.store.statements import planned_each_time, statement_text


class Store:
    """
    One connection to the database, made when it is first needed and again after it broke.

    Not to be shared by threads. With `patience` the session reads only, and no statement takes longer; with `role` it
    has that role from then on, where its user may.
    """

    def __init__(
        self, conninfo: str, *, application: str = "stadspuls", patience: timedelta | None = None, role: str = ""
    ) -> None:  # fmt: skip
        self.conninfo = conninfo
        self._application = application
        self._patience = patience
        self._role = role
        self._moment: datetime | None = None
        self._connection: psycopg.Connection[Any] | None = None
        self._writing: psycopg.Connection[Any] | None = None  # the one that has the tables to write with
        self._listening: psycopg.Connection[Any] | None = None

    def another(self) -> "Store":
        """Return a connection to the same database with the same rights, to be closed by itself."""
        other = Store(self.conninfo, application=self._application, patience=self._patience, role=self._role)
        other._moment = self._moment
        return other

    @contextmanager
    def as_of(self, moment: datetime | None) -> Iterator[None]:
        """See closed windows, the figures of areas and the catalogue in the block as they were (None: as they are)."""
        before, self._moment = self._moment, moment
        try:
            yield
        finally:
            self._moment = before

    @contextmanager
    def transaction(self, *, snapshot: bool = False, writing: bool = False) -> Iterator["Transaction"]:
        """
        Open a transaction that commits when the block ends, and rolls back when it raises.

        `snapshot` makes it read-only over one state of the database; one that is `writing` has the temporary tables of
        the write path. Raises `StoreError`.
        """
        with translated():
            connection = self._connect()
            if writing and self._writing is not connection:
                Transaction(connection).script(statement_text("create_session_tables"))
                self._writing = connection
            with connection.transaction():
                if snapshot:
                    connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
                if self._moment is not None:
                    connection.execute(statement_text("look_back"), {"moment": self._moment.isoformat()})
                yield Transaction(connection)

    def rows(self, statement: str, **parameters: object) -> list[tuple[Any, ...]]:
        """Run one named statement in a transaction of its own and return its rows."""
        with self.transaction() as transaction:
            return transaction.rows(statement, **parameters)

    def heard(self, channel: str, seconds: float) -> bool:
        """
        Wait at most so long for a NOTIFY since the last call; True at once in a new session, which may have missed one.

        A store listens to one channel only. Raises `StoreError`.
        """
        with translated():
            connection = self._connect()
            if self._listening is not connection:
                connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
                self._listening = connection
                return True
            if not (found := list(connection.notifies(timeout=0))):
                poll = select.poll()  # psycopg looks ten times a second
                poll.register(connection.fileno(), select.POLLIN)
                poll.poll(seconds * 1000)
                found = list(connection.notifies(timeout=0))
            return bool(found)

    def alone(self, statement: str) -> None:
        """Run a statement that refuses to be in a transaction, as VACUUM does."""
        with translated():
            self._connect().execute(statement.encode())

    def close(self) -> None:
        """End the session; the next use opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connect(self) -> psycopg.Connection[Any]:
        if self._connection is None or self._connection.closed:
            connection = psycopg.connect(
                self.conninfo, autocommit=True, application_name=self._application, connect_timeout=10,
                prepare_threshold=2, keepalives_idle=10, keepalives_interval=5, keepalives_count=4,
                tcp_user_timeout=30_000,
            )  # fmt: skip
            connection.execute(statement_text("start_session"))
            if self._patience is not None:
                milliseconds = self._patience // timedelta(milliseconds=1)
                connection.execute(
                    statement_text("start_reading_session"), {"role": self._role, "patience": str(milliseconds)}
                )
            self._connection = connection
        return self._connection


class Transaction:
    """An open transaction: named statements and COPY."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def rows(self, statement: str, view: str = "", /, **parameters: object) -> list[tuple[Any, ...]]:
        """Run a statement of `aggregates/sql/`, over `view` where it has `<view>`; return its rows, if it has any."""
        # Over a view not prepared: a plan for any parameter would look at every sensor to find one.
        prepare = False if view or planned_each_time(statement) else None
        cursor = self._execute(_over(view, statement), parameters, prepare)
        return cursor.fetchall() if cursor.description else []

    def select(self, text: str, parameters: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """
        Run a SELECT made of texts of `aggregates/sql/` and names; what a user said is in the parameters alone.

        What does not fit together, as a text in place of a number, is `Refused`, too; a fault of the statement is not.
        """
        try:
            return self._connection.execute(text, parameters, binary=True, prepare=False).fetchall()
        except UNFIT as error:
            raise Refused(f"{type(error).__name__}: {error}") from error

    def records(self, statement: str, **parameters: object) -> list[Any]:
        """Run a statement and return its rows as named tuples, with the names of its columns."""
        cursor = self._execute(_over("", statement), parameters, False if planned_each_time(statement) else None)
        cursor.row_factory = namedtuple_row
        return cursor.fetchall()

    def numbers(
        self, statement: str, layout: np.dtype[Any], *, view: str = "", by: str = "", **parameters: object
    ) -> NDArray[Any]:
        """
        Run a statement whose column `bytes` is a row of `layout`, never null, and return its rows.

        Stamps are microseconds since 1970. A view takes the place of `<view>`, as in `rows`. The database packs all
        rows into one value, or with `by` those of each: neither side handles single rows, and no Python object is made
        of any number.
        """
        packed = statement_text("pack_rows").replace("<statement>", _over(view, statement))
        packed += by and f" GROUP BY {by}"
        found = self._execute(packed, parameters, False if planned_each_time(statement) else None).fetchall()
        return unpacked(b"".join(data or b"" for data, _ in found), layout, sum(count for _, count in found))

    def stream(self, statement: str, view: str, size: int, **parameters: object) -> Iterator[list[tuple[Any, ...]]]:
        """Run a statement as `rows` does, and yield its rows `size` at a time; the database keeps the others."""
        with self._connection.cursor("stream", binary=True) as cursor:
            cursor.execute(_over(view, statement), parameters)
            while rows := cursor.fetchmany(size):
                yield rows

    def script(self, text: str, **parameters: object) -> None:
        """Run a migration: several statements in one text."""
        with psycopg.ClientCursor(self._connection) as cursor:
            cursor.execute(text, parameters or None)

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Undo what the block did when it raises."""
        with translated(), self._connection.transaction():
            yield

    @contextmanager
    def copying(self, table: str, rows: "NDArray[Any] | Packed") -> Iterator[None]:
        """COPY a structured array into the columns that its fields name, while the block calculates something else."""
        names, data = rows if isinstance(rows, Packed) else packed(rows)
        with translated(), self._connection.cursor().copy(_copy_into(table, names)) as copy:
            copy.write(data)
            yield

    def copy(self, table: str, rows: "NDArray[Any] | Packed") -> None:
        """COPY as `copying` does, and wait for the server."""
        with self.copying(table, rows):
            pass

    def _execute(self, text: LiteralString, parameters: Mapping[str, Any], prepare: bool | None) -> psycopg.Cursor[Any]:
        with translated():  # here already, so that a caller knows whose statement it was
            return self._connection.execute(text, parameters or None, binary=True, prepare=prepare)


def _over(view: str, statement: str) -> LiteralString:
    return statement_text(statement).replace("<view>", f'"{view}"')


@cache
def _copy_into(table: str, names: tuple[str, ...]) -> bytes:
    columns = sql.SQL(", ").join(map(sql.Identifier, names))
    return sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(sql.Identifier(table), columns).as_bytes()


def without_password(conninfo: str) -> str:
    """
    Give a URL or conninfo without its password, for a place where others may read it.

    >>> without_password("postgresql://me:secret@host/db")
    'user=me dbname=db host=host'
    """
    parts: dict[str, Any] = psycopg.conninfo.conninfo_to_dict(conninfo)
    return psycopg.conninfo.make_conninfo(**{key: value for key, value in parts.items() if "password" not in key})


def unnested(rows: Sequence[object], names: Sequence[str]) -> dict[str, list[Any]]:
    """Return the attributes of `rows` as the arrays that a statement unnests."""
    return {name: [getattr(row, name) for row in rows] for name in names}
