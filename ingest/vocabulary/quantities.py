"""
What is measured: the registry of quantities, with unit, plausibility, aggregation and validity.

A new quantity is one line in `QUANTITIES`. `streams.commit.quality` takes the plausible range from here, the store
mirrors the table into the database, where the views take the aggregation and the validity rules from it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class Aggregation(StrEnum):
    """How readings of a quantity become one figure."""

    SUM = "sum"
    MEAN = "mean"
    WEIGHTED_MEAN = "weighted_mean"


class Day(StrEnum):
    """The kind of day: `civil` in the hub's own time zone (23, 24 or 25 hours), `cet` fixed at UTC+1."""

    CIVIL = "civil"
    CET = "cet"


@dataclass(frozen=True, slots=True)
class Validity:
    """
    When a window of a quantity may be called valid.

    `coverage` is the share of the window that must be covered (5 minutes, hour, and day unless `hours` is given);
    `hours` is the number of valid hours a day must have instead.
    """

    coverage: float
    hours: int | None
    source: str


AIR = Validity(0.75, 18, "Directive 2008/50/EC annexes VII and XI: 75 % of an hour, 18 valid hours of a day")
TRAFFIC = Validity(0.90, None, "assumption: an hour with 46 of 60 minutes counted comes out 23 % low")


SPIKE_MEMORY = 6 * 3600  # s on either side in which a reading has neighbours


@dataclass(frozen=True, slots=True)
class Quantity:
    """
    One line of the registry.

    `low` and `high` are the plausible range, both inclusive, in `unit`. Concentrations begin at their detection-noise
    floor, because small negative means are real; only counts, speeds and occupancy begin at 0. `spike` is the distance
    from the neighbours' median above which a reading is marked, `stuck` the seconds an unchanging value may last.
    """

    name: str
    unit: str
    low: float
    high: float
    aggregation: Aggregation
    day: Day
    valid: Validity
    spike: float | None = None
    stuck: int | None = None

    @property
    def memory(self) -> float:
        """How far, in seconds, a reading and the rules about its neighbours reach; 0 where there are none."""
        return max(SPIKE_MEMORY if self.spike else 0, 1.5 * (self.stuck or 0))

    @property
    def zone(self) -> str | None:
        """The tz name of a fixed day, or None where the hub's own zone decides."""
        return "Etc/GMT-1" if self.day is Day.CET else None


def _count(name: str, high: float) -> Quantity:
    return Quantity(name, "1", 0, high, Aggregation.SUM, Day.CIVIL, TRAFFIC)


def _air(
    name: str, unit: str, low: float, high: float, spike: float | None = None, stuck: int | None = 6 * 3600
) -> Quantity:
    return Quantity(name, unit, low, high, Aggregation.MEAN, Day.CET, AIR, spike, stuck)


# Floors: detection noise of reference instruments (NO, NO2, O3 -10, PM -50 ug/m3).
# Upper ends, spike distances and stuck times are assumptions: generous enough for New Year's Eve (PM10 718 ug/m3).
QUANTITIES: Mapping[str, Quantity] = MappingProxyType(
    {
        quantity.name: quantity
        for quantity in (
            _count("vehicle_count", 1e5),
            _count("bicycle_count", 1e5),
            _count("pedestrian_count", 1e6),
            Quantity("vehicle_speed", "km/h", 0, 250, Aggregation.WEIGHTED_MEAN, Day.CIVIL, TRAFFIC),
            Quantity("bicycle_speed", "km/h", 0, 80, Aggregation.WEIGHTED_MEAN, Day.CIVIL, TRAFFIC),
            Quantity("vehicle_speed_v85", "km/h", 0, 250, Aggregation.WEIGHTED_MEAN, Day.CIVIL, TRAFFIC),
            Quantity("occupancy", "%", 0, 100, Aggregation.MEAN, Day.CIVIL, TRAFFIC),
            _air("no", "ug/m3", -10, 2000, 400),
            _air("no2", "ug/m3", -10, 1000, 200),
            _air("nox", "ug/m3", -20, 4000, 800),
            _air("o3", "ug/m3", -10, 600, 150),
            _air("so2", "ug/m3", -10, 2000, 400),
            _air("co", "mg/m3", -0.5, 100, 20),
            _air("nh3", "ug/m3", -10, 1000, 300),
            _air("c6h6", "ug/m3", -5, 500, 100),
            _air("bc", "ug/m3", -5, 200, 40),
            _air("pm1", "ug/m3", -50, 2000, 500),
            _air("pm10", "ug/m3", -50, 2000, 500),
            _air("pm25", "ug/m3", -50, 2000, 500),
            _air("ufp", "1/cm3", 0, 1e6),
            _air("temperature", "degC", -40, 60, 15, 24 * 3600),
            _air("humidity", "%", 0, 100, stuck=None),
            _air("pressure", "hPa", 850, 1100, 20, None),
            _air("noise", "dB(A)", 0, 150),
            _air("water_level", "m", -500, 500, stuck=None),
            _air("battery", "V", 0, 100, stuck=None),
        )
    }
)

# What a payload may call a unit, and the factor and offset that make the registry's unit of it.
CONVERSIONS: Mapping[tuple[str, str], tuple[float, float]] = MappingProxyType({
    ("µg/m³", "ug/m3"): (1, 0), ("μg/m³", "ug/m3"): (1, 0), ("µg/m3", "ug/m3"): (1, 0), ("μg/m3", "ug/m3"): (1, 0),
    ("GQ", "ug/m3"): (1, 0), ("mg/m3", "ug/m3"): (1000, 0), ("ug/m3", "mg/m3"): (0.001, 0), ("GP", "mg/m3"): (1, 0),
    ("Pa", "hPa"): (0.01, 0), ("mbar", "hPa"): (1, 0), ("°C", "degC"): (1, 0), ("C", "degC"): (1, 0),
    ("CEL", "degC"): (1, 0), ("K", "degC"): (1, -273.15), ("m/s", "km/h"): (3.6, 0), ("mph", "km/h"): (1.609344, 0),
    ("KMH", "km/h"): (1, 0), ("fraction", "%"): (100, 0), ("P1", "%"): (1, 0), ("count", "1"): (1, 0),
    ("vehicles", "1"): (1, 0), ("", "1"): (1, 0), ("mV", "V"): (0.001, 0), ("cm", "m"): (0.01, 0),
    ("dB", "dB(A)"): (1, 0),
    ("dBA", "dB(A)"): (1, 0), ("µg NO2/m³", "ug/m3"): (1, 0), ("F", "degC"): (5 / 9, -160 / 9),
})  # fmt: skip


def convert(value: float, unit: str, quantity: Quantity) -> float:
    """
    Give `value` in the unit of the registry.

    Raises ValueError for a unit that this quantity has no conversion from.

    >>> convert(0.05, "mg/m3", QUANTITIES["no2"])
    50.0
    """
    if unit == quantity.unit:
        return value
    try:
        factor, offset = CONVERSIONS[unit, quantity.unit]
    except KeyError:
        raise ValueError(
            f"unit {unit!r} of {quantity.name}, expected {quantity.unit!r} or one it converts from"
        ) from None
    return value * factor + offset
