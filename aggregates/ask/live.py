"""
Questions of the live page: the newest window of every sensor and area, one sensor's day, one area's.

`hub.web.live` passes the answers on. The database makes them as JSON text, so that a look at thirty thousand sensors
costs the hub's own process next to nothing.
"""

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
import shapely

from aggregates.ask import dates
from aggregates.ask.areas import VIEWS
from aggregates.ask.dates import BadQuestion
from aggregates.store.store import Store

RANGE = "range"  # the lens of some hours together: the last 24 where nothing is chosen
LONGEST = timedelta(days=31)  # range
Part = Literal["sensors", "areas"]
_GRID = 1e-5  # degrees, about a metre: what a boundary is rounded to on a screen


class Lens(NamedTuple):
    """
    Which windows are looked at: a level, ended or still running. Hours within a longer `length` are taken together.

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
    RANGE: Lens("1h", False, _DAY, timedelta(), timedelta()),
}


def chosen(name: str, quantity: str, zone: str, first: date, last: date | None) -> tuple[Lens, datetime]:
    """
    Return a lens, and its `now`, that see one window: the one that a moment is in, of days that of its local date.

    Of a range they see the whole hours from `first` to `last`, or a day of them. Raises BadQuestion.

    >>> chosen("1h", "no2", "Europe/Amsterdam", datetime(2024, 6, 1, 9, 20), None)[1].isoformat()
    '2024-06-01T08:00:00+00:00'
    """
    lens, start = LENSES[name], dates.moment(first, zone)
    if lens.level == "1d":
        day = start.astimezone(ZoneInfo(zone)).date()
        start, end = (dates.moment(one, zone, "1d", [quantity]) for one in (day, day + _DAY))
    else:
        start = _floored(start, _HOUR if name == RANGE else lens.length)
        end = _floored(dates.moment(last, zone), _HOUR) if last and name == RANGE else start + lens.length
    if not timedelta() < end - start <= LONGEST:
        raise BadQuestion(f"a range from {start} to {end}, expected whole hours, at most {LONGEST.days} days")
    return Lens(lens.level, False, end - start, timedelta(), end - start), end


def _floored(moment: datetime, length: timedelta) -> datetime:
    return moment - (moment - datetime(1970, 1, 1, tzinfo=UTC)) % length


def newest(store: Store, quantity: str, lens: Lens, now: datetime, only: Part | None = None) -> str:
    """
    Return for each sensor that measures a quantity the newest window to show, and for each area of the newest vintage.

    It is JSON, `{"sensors": FIGURES, "areas": {LEVEL: FIGURES}}`, or `only` one of the two. FIGURES are lists by id of
    `id`, `state`, `value`, `coverage`, `start`, `end` (s since 1970), `flags`, `estimate` (of what runs), `seen` and
    `expected` (lanes, of an area valid sensors and sensors, of a range valid hours and hours), and of areas `sensors`
    (how many a value is of). States: valid, invalid, running (empty unless running windows are asked for), nothing,
    failed and missing.
    """
    asked = {
        "quantity": quantity, "now": now, "length": int(lens.length.total_seconds()), "running": lens.running,
        "after": now - lens.reach, "settled": now - lens.patience,
        "oldest": now - lens.reach - lens.length - (lens.level == "1d") * _HOUR,  # of the day when clocks go back
    }  # fmt: skip
    figures, of_areas = "live_figures", "live_areas"
    if lens.level == "1h" and lens.length > _HOUR:
        figures, of_areas, until = "live_range", "live_area_range", _floored(now, _HOUR)
        asked |= {"since": until - lens.length, "now": until}
    views: dict[Part, tuple[str, str | None]] = {
        "sensors": (figures, f"sensor_{lens.level}"), "areas": (of_areas, VIEWS.get(lens.level)),
    }  # fmt: skip
    with store.transaction(snapshot=True) as tx:
        parts = [
            f'"{part}":{tx.rows(name, view, **asked)[0][0] if view else "{}"}'
            for part, (name, view) in views.items() if only in (None, part)
        ]  # fmt: skip
    return f"{{{','.join(parts)}}}"


def places(store: Store, quantity: str) -> str:
    """Return `[sensor_id, name, lon, lat]` of every sensor that measures a quantity, as JSON."""
    ((text,),) = store.rows("live_places", quantity=quantity, length=int(_DAY.total_seconds()))
    return str(text)


def shapes(store: Store, level: str) -> bytes:
    """Return the areas of one level of the newest vintage as GeoJSON, rounded to what a screen can show."""
    return _drawn(tuple(store.rows("live_shapes", level=level)))


@lru_cache(3)  # levels: of a country it takes a second
def _drawn(areas: tuple[tuple[str, str, bytes | None], ...]) -> bytes:
    features = []
    for code, name, wkb in areas:
        shape = None if wkb is None else shapely.set_precision(shapely.from_wkb(wkb).simplify(_GRID), _GRID)
        features.append({
            "type": "Feature", "id": code, "properties": {"name": name},
            "geometry": None if shape is None else msgspec.Raw(shapely.to_geojson(shape).encode()),
        })  # fmt: skip
    return msgspec.json.encode({"type": "FeatureCollection", "features": features})


def day_of(
    store: Store, kind: Literal["sensor", "area"], id: str, quantity: str, day: datetime, now: datetime,
    until: datetime | None = None,
) -> str | None:  # fmt: skip
    """
    Return a sensor, or an area of the newest vintage, and its day of a quantity as JSON; None where there is none such.

    `day` is its `midnight`, or the beginning of a range that lasts `until` then. `hours` are those since the day
    before, `[days ago, local hour, state, value, coverage, flagged, failed, seen, expected, start in s]`. An area has
    its statistics; of a sensor `flags` of the day are `[local hour, readings, flags]`.
    """
    asked = {
        "id": id, "quantity": quantity, "now": now, "zone": str(day.tzinfo), "yesterday": day - _DAY, "today": day,
        "tomorrow": day + _DAY, "form": "HH24:MI",
    }  # fmt: skip
    if until:
        asked |= {"yesterday": day, "tomorrow": until, "form": "YYYY-MM-DD HH24:MI"}
    with store.transaction(snapshot=True) as tx:
        found = tx.rows(f"live_{kind}", "sensor_1h", **asked)
    return found[0][0] if found else None


def midnight(now: datetime, zone: str) -> datetime:
    """Return the beginning of the local day."""
    return now.astimezone(ZoneInfo(zone)).replace(hour=0, minute=0, second=0, microsecond=0)
