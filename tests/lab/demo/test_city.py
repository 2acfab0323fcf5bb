"""The simulated city: the same however it is asked, readable by the hub's own formats, with rhythm and with faults."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pandas as pd
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.formats.decode import decode
from ingest.formats.registry import load_formats
from ingest.vocabulary.batch import Batch
from ingest.vocabulary.readings import Flag, Message
from lab.demo.city import City
from lab.demo.world import World, poisson
from tests.support.examples import up_to

NOON = datetime(2026, 5, 20, 10, tzinfo=UTC)  # a Wednesday
HOUR = timedelta(hours=1)


@cache
def one_day() -> list[Message]:
    """Give a day of history, made once."""
    pieces = pairwise(NOON - hours * HOUR for hours in range(24, -1, -6))
    return [one for begin, end in pieces for one in City().messages(begin, end, live=False)]


@cache
def decoded() -> Batch:
    """Give the readings of the history."""
    return read(one_day())


def read(messages: Sequence[Message]) -> Batch:
    """Decode messages as if each had been received when it was sent."""
    load_formats()
    return decode(messages)


@cache
def frame() -> pd.DataFrame:
    """Give the history's readings as a table."""
    return table(decoded())


def table(batch: Batch) -> pd.DataFrame:
    """Give a batch as a table with plain words."""
    found = batch.readings.to_pandas()
    return found.astype({"sensor_id": str, "channel": str, "quantity": str})


def starts(found: pd.DataFrame, sensor: str) -> pd.DatetimeIndex:
    """Give the distinct starts of what a sensor said."""
    return pd.DatetimeIndex(found.loc[found["sensor_id"] == sensor, "start"].unique())


def test_chance_is_even() -> None:
    """Hashed chance is evenly spread, its normal has mean 0 and deviation 1, its counts have their mean."""
    world, slots = World(1, ZoneInfo("UTC")), np.arange(100_000)
    draws = world.chance(2, slots)
    assert np.abs(np.histogram(draws, 10, (0, 1))[0] / 1e5 - 0.1).max() < 0.005
    noise = world.normal(2, slots)
    assert abs(noise.mean()) < 0.02
    assert abs(noise.std() - 1) < 0.02
    for mean in (0.05, 3.0, 250.0):
        counted = poisson(np.full(100_000, mean), draws)
        assert counted.mean() == pytest.approx(mean, rel=0.03)
        assert counted.var() == pytest.approx(mean, rel=0.05)


def test_same_seed_same_city() -> None:
    """A seed decides everything, another seed is another city."""
    first, again, other = (list(City(seed).messages(NOON, NOON + HOUR / 4)) for seed in (5, 5, 6))
    assert first == again
    assert first != other
    assert City(5).catalogue() == City(5).catalogue()


@settings(max_examples=up_to(12))
@given(
    st.integers(0, 7 * 86_400),
    st.lists(st.integers(0, 1200), min_size=3, max_size=3).map(sorted),
)
def test_any_cut_of_time_gives_the_same_messages(begin: int, cuts: list[int]) -> None:
    """What is sent from a to c is what is sent from a to b and then from b to c, in order."""
    city = City(3)
    first, middle, last = (NOON + timedelta(seconds=begin + cut) for cut in cuts)
    whole = list(city.messages(first, last))
    assert whole == [*city.messages(first, middle), *city.messages(middle, last)]
    assert all(first <= one.received_at < last for one in whole)
    assert [one.received_at for one in whole] == sorted(one.received_at for one in whole)


def test_second_by_second() -> None:
    """Asking every second, as the live demo does, gives what asking once gives."""
    city = City()
    seconds = [NOON + timedelta(seconds=n) for n in range(91)]
    sliced = [one for a, b in pairwise(seconds) for one in city.messages(a, b)]
    assert sliced == list(city.messages(seconds[0], seconds[-1]))


def test_backlog_is_what_was_sent() -> None:
    """The readings of a backlog are those of the live messages, each once, and merely arrive in other pieces."""
    city, start = City(), NOON - 4 * HOUR
    live = read([one for one in city.messages(start, NOON) if "/sensor_community/" not in one.topic])
    backlog = read(list(city.messages(start, NOON, live=False)))

    def told(batch: Batch) -> list[tuple[object, ...]]:
        names = ("sensor_id", "channel", "quantity", "period", "start", "value", "weight")
        first = batch.readings.filter(pc.field("version") == 0).select(names)
        return sorted((tuple(row.values()) for row in first.to_pylist()), key=str)

    assert told(backlog) == sorted(set(told(live)), key=str)


def test_history_is_the_sum_of_its_minutes() -> None:
    """An hour of history counts what its minutes would have counted; some of those are never sent."""
    city, start = City(), NOON - 30 * HOUR
    whole = table(read(list(city.history(start, start + 3 * HOUR))))
    assert set(whole["period"]) == {3600}
    assert whole["start"].min() == start
    assert len(whole.drop_duplicates(["sensor_id", "channel", "quantity", "start"])) == len(whole)
    told = [one for one in city.messages(start, start + 4 * HOUR, live=False) if "/counter-01" in one.topic]
    minutes = table(read(told))
    there = minutes["start"].between(start, start + 3 * HOUR, inclusive="left")
    minutes = minutes[(minutes["quantity"] == "vehicle_count") & there]
    hours = whole[(whole["sensor_id"] == "stadspuls/counter-01") & (whole["quantity"] == "vehicle_count")]
    sent = minutes.groupby(minutes["start"].dt.floor("h"))["value"].agg(["sum", "count"])
    counted = hours.set_index("start")["value"]
    assert (sent["sum"] <= counted).all()
    assert (sent["sum"] / sent["count"] * 60 / counted).between(0.9, 1.1).all()


def test_some_street_is_unusual() -> None:
    """On any day some streets have far more or less than usual between 6 and 21 o'clock UTC, and most have not."""
    world = World(1, ZoneInfo("Europe/Amsterdam"))
    noon = np.full(1, int(NOON.timestamp()))
    for day in range(5):
        factors = [float(world.unusual(number, noon + day * 86_400)[0]) for number in range(0, 800, 10)]
        assert 0 < sum(factor != 1 for factor in factors) < len(factors) / 4


def test_every_message_decodes() -> None:
    """A day of history is a few hundred thousand readings, all of them readable, in messages of at most 256 kB."""
    batch = decoded()
    assert batch.dead_letters == ()
    assert 100_000 < len(batch) < 400_000
    assert max(len(one.payload) for one in one_day()) <= 256 << 10
    assert {one.topic.split("/")[1] for one in one_day()} == {"stadspuls", "ndw", "luchtmeetnet", "telraam"}


def test_live_messages_decode() -> None:
    """Everything that is sent within two hours is readable, and names the sensors of the catalogue alone."""
    city = City()
    sent = list(city.messages(NOON, NOON + 2 * HOUR))
    batch = read(sent)
    assert batch.dead_letters == ()
    assert {one.topic.split("/")[1] for one in sent} == {
        "stadspuls",
        "ndw",
        "luchtmeetnet",
        "telraam",
        "sensor_community",
    }
    assert set(table(batch)["sensor_id"]) <= {fact.sensor_id for fact in city.catalogue()}


def test_sensor_community_pushes_strings_without_a_stamp() -> None:
    """A push has strings only and counts from its receipt; now and then the laser failed, and nothing else did."""
    pushes = [one for one in City().messages(NOON, NOON + 6 * HOUR) if "/sensor_community/" in one.topic]
    said = [one for push in pushes for one in msgspec.json.decode(push.payload)["sensordatavalues"]]
    assert all(isinstance(one["value"], str) for one in said)
    found = table(read(pushes))
    assert (found["start"] == found["received_at"]).all()
    failed = found["flags"] == Flag.SOURCE_ERROR.value
    assert 0 < failed.mean() < 0.1
    assert set(found.loc[failed, "quantity"]) == {"pm10", "pm25"}


def test_rush_hour_above_night() -> None:
    """Working mornings are busy and nights are not; the weekend has no morning rush."""
    city, zone = City(), ZoneInfo("Europe/Amsterdam")
    wednesday, sunday = datetime(2026, 5, 20, tzinfo=zone), datetime(2026, 5, 24, tzinfo=zone)

    def counted(day: datetime, hour: int) -> float:
        found = table(read(list(city.messages(day + hour * HOUR, day + (hour + 1) * HOUR))))
        return float(found.loc[(found["quantity"] == "vehicle_count") & (found["period"] == 60), "value"].sum())

    assert counted(wednesday, 8) > 5 * counted(wednesday, 3)
    assert counted(wednesday, 8) > 3 * counted(sunday, 8)


def test_ndw_lanes_add_up() -> None:
    """The layout is recognised: `any` of a lane is the sum of its classes, and no vehicle means no speed."""
    found = frame()[frame()["sensor_id"].str.startswith("ndw/")].copy()
    found[["lane", "kind"]] = found["channel"].str.split("/", expand=True)
    counts = found[found["quantity"] == "vehicle_count"]
    sums = counts.groupby(["sensor_id", "lane", "start", counts["kind"] == "any"])["value"].sum().unstack()
    assert (sums[True] == sums[False]).all()
    speeds = found[found["quantity"] == "vehicle_speed"]
    assert (speeds["value"].isna() == (speeds["weight"] == 0)).all()
    assert speeds["value"].dropna().between(8, 250).all()
    assert speeds["value"].isna().any()


def test_faults_occur() -> None:
    """
    There are gaps, readings sent twice, and corrections; one sensor never speaks.

    Two values of one reading have versions that say which counts, so that `doctor` finds nothing bad in the city.
    """
    key = ["sensor_id", "channel", "quantity", "start"]
    live = table(read([one for one in City().messages(NOON - 6 * HOUR, NOON) if "/sensor_comm" not in one.topic]))
    assert live.duplicated([*key, "value"]).any()
    assert len(live.drop_duplicates([*key, "value"])) > len(live.drop_duplicates(key))
    assert not live.drop_duplicates([*key, "version", "value"]).duplicated([*key, "version"]).any()
    silent = {fact.sensor_id for fact in City().catalogue()} - set(frame()["sensor_id"])
    assert [one for one in silent if "sensor_community" not in one] == ["stadspuls/counter-10"]
    assert 1350 < len(starts(frame(), "stadspuls/counter-01")) < 1440


def test_stuck_values() -> None:
    """A stuck sensor says one value for hours, the others do not."""
    found = frame()[frame()["quantity"] == "temperature"]
    longest = found.groupby("sensor_id")["value"].agg(lambda values: values.value_counts().max())
    assert set(longest[longest > 6 * 12].index) & {"stadspuls/air-03", "stadspuls/air-11"}
    assert longest["stadspuls/air-01"] < 12


def test_late_bursts() -> None:
    """A sensor that was away for hours sends all of it at once."""
    sent = City().messages(NOON, NOON + 48 * HOUR)
    late = Counter(
        (one.topic, one.received_at.replace(second=0, microsecond=0) - timedelta(minutes=one.received_at.minute % 5))
        for one in sent
        if "/counter-" in one.topic
    )
    assert max(late.values()) > 60


def test_drifting_clock() -> None:
    """One sensor's stamps run ahead of the minute, and never so far that they are refused."""
    assert len(set(starts(frame(), "stadspuls/counter-09").second)) > 10
    assert set(starts(frame(), "stadspuls/counter-01").second) == {0}


def test_catalogue() -> None:
    """Some sixty sensors of several sources, each simulated by its name, in a street near the centre."""
    centre = (6.57, 53.22)
    facts = City().catalogue()
    assert 55 <= len(facts) <= 70
    assert len({fact.sensor_id for fact in facts}) == len(facts)
    for fact in facts:
        assert fact.name is not None
        assert fact.name.endswith(" (simulated)")
        assert fact.lon == pytest.approx(centre[0], abs=0.15)
        assert fact.lat == pytest.approx(centre[1], abs=0.1)
