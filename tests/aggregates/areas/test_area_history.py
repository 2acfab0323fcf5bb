"""Figures of areas as of a moment, and why they changed since."""

from datetime import datetime

from aggregates.ask.dates import known_at
from aggregates.store.catalogue import import_sensors
from aggregates.store.store import Store
from ingest.files.catalogue import Entry
from tests.aggregates.areas.test_areas import BEGIN, PLACES, figures, hours, load_cases, place, refresh
from tests.aggregates.ask.test_history import history
from tests.aggregates.store.test_versions import publish

BUURT, GEMEENTE = "BU99010000", "GM9901"


def reasons(store: Store, code: str) -> list[tuple[str, str, float, float]]:
    """Give the changes of an area: window, reason, value before and after."""
    found = history(store, area=code, first=datetime(2024, 6, 1, tzinfo=BEGIN.tzinfo), last=BEGIN.replace(day=6))
    return [(row["window"], row["reason"], row["before"], row["after"]) for row in found]


def test_an_area_has_its_figures_of_then(store: Store) -> None:
    """A correction, then a late hour of a second sensor: each moment has its mean, and each change its reason."""
    load_cases(store)
    place(store, **PLACES)
    hours(store, "a", [10.0 + at % 3 for at in range(24)])
    hours(store, "b", [20.0 + at % 3 for at in range(23)])
    refresh(store)
    first = publish(store, "first")
    hours(store, "a", [14.0], version=1)
    refresh(store)
    second = publish(store, "second")
    hours(store, "b", [30.0], begin=BEGIN.replace(hour=23))
    refresh(store)
    known = []
    for moment in (first, second, None):
        with known_at(store, moment):
            found = figures(store, BUURT)
        print(found.to_string())
        known.append((found["value"].iloc[0], found["value"].iloc[23], found["sensors"].iloc[23]))
    assert known == [(15.0, 12.0, 2), (17.0, 12.0, 2), (17.0, 21.0, 2)]
    told = reasons(store, BUURT)
    assert [one for one in told if one[0] == "1h"] == [
        ("1h", "correction", 15.0, 17.0),
        ("1h", "late data", 12.0, 21.0),
    ]
    assert {one[1] for one in told if one[0] == "1d"} == {"correction", "late data"}
    assert reasons(store, GEMEENTE)[-1][1] == "late data"


def test_a_sensor_that_moves_out_of_an_area_is_the_catalogue(store: Store) -> None:
    """An area that loses a sensor, which stands inside a building, has other figures by the catalogue."""
    load_cases(store)
    place(store, **PLACES)
    hours(store, "a", [10.0])
    hours(store, "b", [20.0])
    refresh(store)
    before = publish(store, "r")
    import_sensors(store, [Entry("stadspuls/b", indoor=True)])
    refresh(store)
    assert ("1h", "catalogue", 15.0, 10.0) in reasons(store, BUURT)
    with known_at(store, before):
        assert figures(store, BUURT)["value"].tolist() == [15.0]
    assert figures(store, BUURT)["value"].tolist() == [10.0]
