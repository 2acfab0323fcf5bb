"""Both nights in which clocks change, for every source of local times: each hour once, in the right place."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from ingest.formats.decode import decode
from ingest.formats.mapping_reader import MappedFormat
from ingest.formats.mapping_schema import load
from ingest.vocabulary.readings import BadPayload, Flag, Message

AUTUMN = datetime(2026, 10, 24, 22, tzinfo=UTC)  # 25 October in Amsterdam begins
SPRING = datetime(2026, 3, 28, 23, tzinfo=UTC)  # and 29 March
LATER = datetime(2027, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
HEADER = (
    "id_meetlocatie,start_meetperiode,eind_meetperiode,gebruikte_minuten_intensiteit,gem_intensiteit,gem_snelheid,"
    "gewogen_gem_snelheid,rijstrook_rijbaan,voertuigcategorie"
)


def dexter(*hours: tuple[str, str]) -> list[dict[str, Any]]:
    """Decode an export of two lanes, with hours as the clock shows them, and give the counts of the first lane."""
    rows = [
        f"A,{begin}:00,{begin[:11]}{end}:00,60,{at},50,50,lane{lane},anyVehicle"
        for at, (begin, end) in enumerate(hours, 1)
        for lane in (1, 2)
    ]
    batch = decode([Message("stadspuls/dexter/x", "\n".join([HEADER, *rows]).encode(), LATER)])
    assert batch.dead_letters == ()
    rows_of = batch.readings.to_pylist()
    return [one for one in rows_of if (one["channel"], one["quantity"]) == ("lane1/any", "vehicle_count")]


def test_autumns_hour_of_dexter_is_two_hours() -> None:
    """The hour that comes twice gives two readings of an hour each, in the order of the file."""
    day = "2026-10-25 "
    twice = (day + "02:00", "03:00")
    found = dexter((day + "01:00", "02:00"), twice, twice, (day + "03:00", "04:00"))
    assert [one["start"] for one in found] == [AUTUMN + at * HOUR for at in (1, 2, 3, 4)]
    assert [(one["period"], one["flags"], one["value"]) for one in found] == [(3600, 0, at) for at in (1, 2, 3, 4)]


def test_ends_by_the_clock_are_two_hours_too() -> None:
    """From two to two o'clock is the first of them, where a supplier writes the end as the clock shows it then."""
    found = dexter(("2026-10-25 02:00", "02:00"), ("2026-10-25 02:00", "03:00"))
    assert [(one["start"], one["period"]) for one in found] == [(AUTUMN + 2 * HOUR, 3600), (AUTUMN + 3 * HOUR, 3600)]


def test_lone_hour_of_autumn_is_the_first_and_marked() -> None:
    """A file with one of the two hours does not say which: the reading is the first's, and warns."""
    (one,) = dexter(("2026-10-25 02:00", "03:00"))
    assert (one["start"], one["period"], one["flags"]) == (AUTUMN + 2 * HOUR, 3600, Flag.AMBIGUOUS)


@pytest.mark.parametrize("end", ["02:00", "03:00"])
def test_springs_hour_of_dexter(end: str) -> None:
    """The hour before the clocks change lasts an hour, whichever end is written."""
    found = dexter(("2026-03-29 01:00", end), ("2026-03-29 03:00", "04:00"))
    assert [(one["start"], one["period"]) for one in found] == [(SPRING + HOUR, 3600), (SPRING + 2 * HOUR, 3600)]


def read(folder: Path, stamps: list[str], means: str, period: int = 3600, received: datetime = LATER) -> list[Any]:
    """Read rows of a counter that stamps them in local time."""
    (folder / "fiware.toml").write_text(
        f'format = "csv"\n[[message]]\nsensor = "a"\nstamp = "/at"\nzone = "Europe/Amsterdam"\nmeans = "{means}"\n'
        f'period = {period}\nreading = [{{ value = "/n", quantity = "bicycle_count" }}]\n'
    )
    rows = "\n".join(["at,n", *(f"{stamp},{n}" for n, stamp in enumerate(stamps))])
    return list(
        MappedFormat("fiware", load(folder / "fiware.toml"))(Message("stadspuls/fiware/a", rows.encode(), received))
    )


@pytest.mark.parametrize("means", ["start", "end", "instant"])
@pytest.mark.parametrize("minutes", [60, 15])
@pytest.mark.parametrize("midnight", [AUTUMN, SPRING])
def test_clock_of_a_mapped_source(tmp_path: Path, means: str, minutes: int, midnight: datetime) -> None:
    """What a clock shows through both nights comes back as one reading each, none marked, none lost."""
    step = timedelta(minutes=minutes)
    moments = [midnight + at * step for at in range(int(6 * HOUR / step))]
    stamps = [f"{moment.astimezone(ZoneInfo('Europe/Amsterdam')):%Y-%m-%dT%H:%M:%S}" for moment in moments]
    found = read(tmp_path, stamps, means, minutes * 60)
    shift = step if means == "end" else timedelta()
    assert [(one.start, one.value, one.flags) for one in found] == [
        (moment - shift, n, 0) for n, moment in enumerate(moments)
    ]


@pytest.mark.parametrize(("midnight", "day"), [(AUTUMN, 25), (SPRING, 23)])
@pytest.mark.parametrize("hours", [3, 6, 24])
def test_step_of_an_export_is_that_of_the_clock(midnight: datetime, day: int, hours: int) -> None:
    """A night in which clocks change makes no other step: so many hours by the clock, a day from 0 to 24 o'clock."""
    local = midnight.astimezone(ZoneInfo("Europe/Amsterdam")).replace(tzinfo=None)
    stamps = [local + timedelta(hours=at) for at in range(-48, 72, hours)]
    text = "\n".join(["Time,Trail", *(f"{one:%Y-%m-%d %H:%M},1" for one in stamps)])
    found = decode([Message("stadspuls/eco_counter/x", text.encode(), midnight + 99 * HOUR)]).readings.to_pylist()
    known = {one["start"]: one["period"] // 3600 for one in found}
    assert known.pop(midnight) == (day if hours == 24 else hours)
    assert set(known.values()) == {hours}


def test_end_at_the_first_moment_that_spring_skips(tmp_path: Path) -> None:
    """An hour that ends at two o'clock is the one before; a quarter that ends later is in no hour."""
    assert read(tmp_path, ["2026-03-29T02:00:00"], "end")[0].start == SPRING + HOUR
    with pytest.raises(BadPayload, match="clocks skip"):
        read(tmp_path, ["2026-03-29T02:15:00"], "end", 900)


@pytest.mark.parametrize(("minutes", "hours"), [(1, 2), (59, 2), (61, 3), (119, 3)])
def test_receipt_tells_which_hour_is_meant(tmp_path: Path, minutes: int, hours: int) -> None:
    """A device that sends at once is heard in the hour it means."""
    received = AUTUMN + 2 * HOUR + timedelta(minutes=minutes)
    (one,) = read(tmp_path, ["2026-10-25T02:00:00"], "instant", received=received)
    assert (one.start, one.flags) == (AUTUMN + hours * HOUR, 0)


@pytest.mark.parametrize("means", ["start", "end"])
@pytest.mark.parametrize("seconds", [300, 900, 3600])
def test_interval_that_is_sent_when_it_has_ended(tmp_path: Path, means: str, seconds: int) -> None:
    """Each interval of the night comes back where it was, by its message's receipt a minute after its end."""
    period = timedelta(seconds=seconds)
    for start in (AUTUMN + at * period for at in range(int(5 * HOUR / period))):
        local = (start + (means == "end") * period).astimezone(ZoneInfo("Europe/Amsterdam"))
        received = start + period + timedelta(minutes=1)
        (one,) = read(tmp_path, [f"{local:%Y-%m-%dT%H:%M:%S}"], means, seconds, received=received)
        assert (one.start, one.flags) == (start, 0)


def test_lone_stamp_of_autumn_is_marked(tmp_path: Path) -> None:
    """Without its twin, and long after, the first hour is meant, and the reading warns."""
    (one,) = read(tmp_path, ["2026-10-25T02:30:00"], "start")
    assert (one.start, one.flags) == (AUTUMN + 2.5 * HOUR, Flag.AMBIGUOUS)


def test_stamp_that_is_none_is_refused(tmp_path: Path) -> None:
    """What is no stamp is said to be none, also where a zone is given."""
    with pytest.raises(BadPayload, match="expected one written as ISO 8601"):
        read(tmp_path, ["2026-10-25 at two"], "start")
