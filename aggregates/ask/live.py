"""
Questions of the live page: the newest window of every sensor and area, one sensor's day, one area's.

`hub.web.live` shows it. Rows for many viewers are made by the database as JSON text, so that a look at thirty thousand
sensors costs the hub's own process next to nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec
import shapely

from aggregates.ask.areas import VIEWS
from aggregates.store.store import Store

WEEKS = 8  # of the same weekday make the usual band
_GRID = 1e-5  # degrees, about a metre: what a boundary is rounded to on a screen


class Lens(NamedTuple):
    """
    Which windows are looked at: a level, ended or still running.

    A window that is not valid is waited for during `patience` after its end; one that ended longer than `reach` ago is
    no longer shown.
    """

    level: str
    running: bool
    length: timedelta
    patience: timedelta
    reach: timedelta


_MINUTES, _HOUR, _DAY = timedelta(minutes=5), timedelta(hours=1), timedelta(days=1)
LENSES = {
    "5m": Lens("5m", False, _MINUTES, timedelta(minutes=2), 3 * _MINUTES),
    "1h": Lens("1h", False, _HOUR, timedelta(minutes=20), 2 * _HOUR),
    "1d": Lens("1d", False, _DAY, timedelta(hours=2), 2 * _DAY),
    "5m-now": Lens("5m", True, _MINUTES, timedelta(), timedelta()),
    "1h-now": Lens("1h", True, _HOUR, timedelta(), timedelta()),
    "1d-now": Lens("1d", True, _DAY, timedelta(), timedelta()),
}


class Rows(NamedTuple):
    """JSON rows as the database wrote them, and the values below which 2 % and 95 % of the figures lie."""

    rows: str
    spread: tuple[float, float] | None


def newest(store: Store, quantity: str, lens: Lens, now: datetime) -> Rows:
    """
    Return for each sensor that measures a quantity the newest window to show.

    A row is `[sensor_id, state, value, coverage, start, end, flags, failed, estimate]`, stamps in seconds since 1970;
    the states are valid, invalid, running, nothing (observed, nothing to measure), failed and missing.
    """
    with store.transaction(snapshot=True) as tx:
        ((rows, spread),) = tx.rows("live_figures", f"sensor_{lens.level}", **_asked(quantity, lens, now))
    return _rows(rows, spread)


def newest_areas(store: Store, quantity: str, lens: Lens, now: datetime) -> dict[str, Rows]:
    """Do the same for the areas of the newest vintage by level, with `sensors, valid_sensors` at a row's end."""
    if lens.level not in VIEWS:
        return {}
    with store.transaction(snapshot=True) as tx:
        found = tx.rows("live_areas", VIEWS[lens.level], **_asked(quantity, lens, now))
    return {level: _rows(rows, spread) for level, rows, spread in found}


def _asked(quantity: str, lens: Lens, now: datetime) -> dict[str, object]:
    return {
        "quantity": quantity, "now": now, "length": int(lens.length.total_seconds()),
        "oldest": now - lens.reach - lens.length - _HOUR, "after": now - lens.reach, "settled": now - lens.patience,
    }  # fmt: skip


def _rows(rows: str, spread: Sequence[float | None] | None) -> Rows:
    low, high = spread or (None, None)
    return Rows(rows, None if low is None or high is None else (low, high))


def pulse(store: Store) -> tuple[object, ...]:
    """Return a row that differs when something was committed that the page shows; readings received come first."""
    (row,) = store.rows("live_pulse")
    return row


def places(store: Store, quantity: str) -> str:
    """Return `[sensor_id, name, lon, lat]` of every sensor that measures a quantity, as JSON."""
    ((text,),) = store.rows("live_places", quantity=quantity, length=int(_DAY.total_seconds()))
    return str(text)


def shapes(store: Store, level: str) -> bytes:
    """Return the areas of one level of the newest vintage as GeoJSON, rounded to what a screen can show."""
    features = []
    for code, name, wkb in store.rows("live_shapes", level=level):
        shape = None if wkb is None else shapely.set_precision(shapely.from_wkb(wkb).simplify(_GRID), _GRID)
        features.append({
            "type": "Feature", "id": code, "properties": {"name": name},
            "geometry": None if shape is None else msgspec.Raw(shapely.to_geojson(shape).encode()),
        })  # fmt: skip
    return msgspec.json.encode({"type": "FeatureCollection", "features": features})


def choices(store: Store) -> list[tuple[str, int, int]]:
    """Return the quantities measured: name, sensors and shortest period in seconds, those of most sensors first."""
    return [(name, sensors, period) for name, sensors, period in store.rows("live_choices")]


def levels(store: Store) -> list[str]:
    """Return the levels of area that can be drawn, the largest first."""
    order = ("gemeente", "wijk", "buurt")
    return sorted((level for (level,) in store.rows("live_levels")), key=order.index)


class Hour(NamedTuple):
    """One hour of a sensor or area with its evidence."""

    start: datetime
    value: float | None
    estimate: float | None
    coverage: float | None
    valid: bool
    nothing: int
    flagged: int
    failed: int
    warned: int


class FlaggedHour(NamedTuple):
    """How many readings of an hour bear these flags."""

    start: datetime
    flags: int
    readings: int


@dataclass(frozen=True, slots=True)
class SensorDay:
    """A sensor, its hours since the day before yesterday, those of the same weekday before, and its flags today."""

    sensor_id: str
    name: str | None
    kind: str | None
    lanes: int | None
    source: str | None
    source_class: str | None
    licence: str | None
    quantities: list[str]
    hours: list[Hour]
    flags: list[FlaggedHour]


def sensor_day(store: Store, sensor: str, quantity: str, now: datetime, zone: str) -> SensorDay | None:
    """Return a sensor's day of a quantity, None where no such sensor is known."""
    known = store.rows("live_sensor", sensor=sensor)
    if not known:
        return None
    today = midnight(now, zone)
    with store.transaction(snapshot=True) as tx:
        hours = tx.rows(
            "live_hours", "sensor_1h", sensor=sensor, quantity=quantity, now=now, zone=zone,
            first=today - timedelta(weeks=WEEKS), recent=today - timedelta(days=1),
            weekday=now.astimezone(ZoneInfo(zone)).isoweekday(),
        )  # fmt: skip
        flags = tx.rows("live_flags", sensor=sensor, quantity=quantity, first=today)
    sensor_id, name, kind, lanes, title, source_class, licence, quantities = known[0]
    return SensorDay(
        sensor_id, name, kind, lanes, title, source_class, licence, quantities or [],
        [Hour(*row) for row in hours], [FlaggedHour(*row) for row in flags],
    )  # fmt: skip


class Statistic(NamedTuple):
    """One CBS figure of an area; a null has its reason in `attribute` or `content`."""

    theme: str | None
    title: str
    measure: str
    value: float | None
    unit: str | None
    period: str | None
    attribute: str | None
    content: str | None
    source: str | None
    licence: str | None


@dataclass(frozen=True, slots=True)
class AreaDay:
    """An area, its hours of a quantity since yesterday, and its statistics."""

    code: str
    name: str
    level: str
    vintage: int
    sensors: int
    hours: list[Hour]
    statistics: list[Statistic]


def area_day(store: Store, code: str, quantity: str, now: datetime, zone: str) -> AreaDay | None:
    """Return an area of the newest vintage beside its statistics, None where there is none with this code."""
    known = store.rows("live_area", code=code)
    if not known:
        return None
    code, name, level, vintage, sensors = known[0]
    first = midnight(now, zone) - timedelta(days=1)
    hours = store.rows("live_area_hours", code=code, vintage=vintage, quantity=quantity, first=first, now=now)
    statistics = store.rows("live_statistics", code=code, vintage=vintage)
    return AreaDay(
        code, name, level, vintage, sensors,
        [Hour(*row) for row in hours], [Statistic(*row) for row in statistics],
    )  # fmt: skip


def midnight(now: datetime, zone: str) -> datetime:
    """Return the beginning of the local day."""
    return now.astimezone(ZoneInfo(zone)).replace(hour=0, minute=0, second=0, microsecond=0)


class Silent(NamedTuple):
    """A sensor without new readings, and the start of its last window (None: it has none)."""

    sensor_id: str
    name: str | None
    last: datetime | None


def silent(store: Store, now: datetime) -> list[Silent]:
    """Return the sensors that were silent for three of their periods and a quarter of an hour, the longest first."""
    return [Silent(*row) for row in store.rows("live_silent", now=now)]
