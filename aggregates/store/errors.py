"""
What can go wrong at the database.

The class of an error tells what a caller can do:

    StoreError
    ├── Away      the database cannot be reached or gave up: try again later
    │   ├── Slow      the statement took longer than this session lets it: ask for less
    │   ├── Limit     the server is at a limit: ask for less, or try again later
    │   └── Denied    this session's role may not: ask as another one
    ├── Clash     a deadlock, a serialization failure, a lock that took too long: try again
    └── Refused   it will never take these data: split them
        └── Known     a key is there already: write with care
"""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import errors

# What PostgreSQL says of operands that do not go together, and of too many of them.
UNFIT = (
    errors.AmbiguousFunction, errors.CannotCoerce, errors.DatatypeMismatch, errors.IndeterminateDatatype,
    errors.StatementTooComplex, errors.UndefinedFunction,
)  # fmt: skip


class StoreError(Exception):
    """The database did not do what it was asked; its class tells what a caller can do about it."""


class Away(StoreError):  # noqa: N818 - named for what a caller does
    """The database cannot be reached, or ended the session: try again later."""


class Slow(Away):
    """The statement took longer than this session lets it: ask for less."""


class Limit(Away):
    """The server is at a limit, as of its memory or its locks: ask for less, or try again later."""


class Denied(Away):
    """This session's role may not do that: ask as another one."""


class Clash(StoreError):  # noqa: N818 - named for what a caller does
    """Another session was in the way: try again at once."""


class Refused(StoreError):  # noqa: N818 - named for what a caller does
    """The database will never take these data: split them, the one reading at fault becomes a dead letter."""


class Known(Refused):
    """A key is there already: write in the way that looks first."""


@contextmanager
def translated() -> Iterator[None]:
    """Raise the class of `StoreError` that fits what psycopg raised."""
    try:
        yield
    except (errors.DeadlockDetected, errors.SerializationFailure, errors.LockNotAvailable) as error:
        raise Clash(str(error)) from error
    except errors.QueryCanceled as error:
        raise Slow(str(error)) from error
    except errors.InsufficientPrivilege as error:
        raise Denied(str(error)) from error
    except errors.UniqueViolation as error:
        raise Known(str(error)) from error
    except (errors.OutOfMemory, errors.ConfigurationLimitExceeded) as error:
        raise Limit(f"{type(error).__name__}: {error}") from error
    except psycopg.Error as error:
        # Class 22 is bad data, 23 a broken constraint, 54000 texts too long for an index.
        refused = isinstance(error, (psycopg.DataError, psycopg.IntegrityError, errors.ProgramLimitExceeded))
        raise (Refused if refused else Away)(f"{type(error).__name__}: {error}") from error
