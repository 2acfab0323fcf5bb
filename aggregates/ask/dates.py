"""
Questions: what a date or stamp in one means, and what is said of one that has no answer.

A date without a time is a local civil date of the hub's zone; where days are asked for, a date of the quantity's kind
of day. A stamp without a zone is local time of the hub's zone; of the hour that autumn has twice it is the first.
`hub.cli.common` and `hub.web.api.parameters` read questions with it, and every command loads it: so no pandas here.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

from aggregates.store.store import Store, Transaction
from ingest.vocabulary.quantities import QUANTITIES
from ingest.vocabulary.values import duration

NO_AREAS = "no areas are loaded, see `stadspuls areas load --help`"


class BadQuestion(ValueError):  # noqa: N818 - the reaction is the name: ask again, corrected
    """A question that has no answer: the text has what was found and expected, `name` the parameter at fault."""

    def __init__(self, text: str, name: str = "") -> None:
        super().__init__(text)
        self.name = name


def read(text: str, now: datetime | None = None) -> date:
    """
    Read a date, a stamp with or without a zone (a datetime), or a time before `now` as -24h; raises ValueError.

    >>> read("2024-06-01"), read("2024-06-01T12:00"), read("-1d", datetime(2024, 6, 2, 12, 0))
    (datetime.date(2024, 6, 1), datetime.datetime(2024, 6, 1, 12, 0), datetime.datetime(2024, 6, 1, 12, 0))
    """
    try:
        return now - duration(text[1:]) if now and text.startswith("-") else date.fromisoformat(text)
    except OverflowError as error:
        raise ValueError(str(error)) from error
    except ValueError:
        return datetime.fromisoformat(text)


def moment(asked: date, zone: str, window: str = "", quantities: Iterable[str] = ()) -> datetime:
    """
    Give what `read` found as UTC, in a question about windows of these quantities.

    >>> moment(read("2024-06-01"), "Europe/Amsterdam", "1h", ["no2"]).isoformat()
    '2024-05-31T22:00:00+00:00'
    >>> moment(read("2024-06-01"), "Europe/Amsterdam", "1d", ["no2"]).isoformat()
    '2024-05-31T23:00:00+00:00'
    """
    if isinstance(asked, datetime):
        return (asked if asked.tzinfo else asked.replace(tzinfo=ZoneInfo(zone))).astimezone(UTC)
    days = {QUANTITIES[one].zone or zone for one in quantities if one in QUANTITIES} if window == "1d" else set()
    # Two kinds of day in one question: civil midnight is never after that of UTC+1 in the zones east of it.
    (named,) = days if len(days) == 1 else (zone,)
    return datetime.combine(asked, time(), ZoneInfo(named)).astimezone(UTC)


@contextmanager
def known_at(store: Store, asked: datetime | None, window: str = "1h") -> Iterator[None]:
    """
    Answer in the block as the hub knew closed hours, days and figures of areas at a moment (None: now).

    Raises BadQuestion for a moment that is to come, or from before earlier figures are kept.
    """
    if asked is not None:
        if window in ("5m", "15m", "period", ""):
            expected = "expected 1h, 1d or longer: others keep no earlier figures"
            raise BadQuestion(f"window {window!r} as of a moment, {expected}", "asOf")
        ((since, now),) = store.rows("read_versions_since")
        if not since <= asked <= now:
            said = f"as of {asked.isoformat()}, expected from {since.isoformat()} to now"
            raise BadQuestion(f"{said}: earlier figures are kept since then", "asOf")
    with store.as_of(asked):
        yield


def zone_of(tx: Store | Transaction) -> str:
    """Give the hub's zone, as the migration stored it."""
    ((zone,),) = tx.rows("read_zone")
    return str(zone)
