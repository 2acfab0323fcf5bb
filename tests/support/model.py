"""
The plain recomputation that tests compare the store with: a reading at a time, in plain Python, sharing no code.

What stays of several readings with one key, and the evidence of every window, straight from the words of the design.
"""

import math
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from ingest.vocabulary.quantities import QUANTITIES
from ingest.vocabulary.readings import Reading
from ingest.vocabulary.sources import SOURCES

EXCLUDING, WARNING = 1 | 2 | 4 | 8 | 16 | 4096, 32 | 64 | 128 | 256 | 2048
AMBIGUOUS, UNFINISHED, CONFLICT = 64, 2048, 4096
SeriesKey = tuple[str, str, str, int]
Key = tuple[SeriesKey, datetime]


def as_received(reading: Reading, at: datetime) -> Reading:
    """Give a reading as it came: unfinished while its period runs, with a version where its source says so."""
    to_come = (reading.start - at).total_seconds() + reading.period
    early = reading.period > 600 and to_come > min(reading.period / 10, 600)
    covers = float(reading.period) if reading.covers is None and reading.period else reading.covers
    if early and covers is not None:
        covers = min(covers, max(0.0, (at - reading.start).total_seconds()))
    sign = {"last": 1, "first": -1, "greatest": 0}[SOURCES[reading.sensor_id.partition("/")[0]].repeated]
    version = reading.version or sign * int(at.timestamp() * 1_000_000)
    return reading._replace(covers=covers, version=version, flags=reading.flags | UNFINISHED * early)


def kept(readings: Iterable[Reading]) -> dict[Key, Reading]:
    """Keep the greatest reading of each series and start; two values of one status and version are ambiguous."""
    groups: dict[Key, list[Reading]] = {}
    for reading in readings:
        series = (reading.sensor_id, reading.channel, reading.quantity, reading.period)
        groups.setdefault((series, reading.start), []).append(_flagged(reading))
    return {key: _winner(group) for key, group in groups.items()}


def _flagged(reading: Reading) -> Reading:
    quantity = QUANTITIES[reading.quantity]
    covers = float(reading.period) if reading.covers is None and reading.period else reading.covers
    odd = reading.value is not None and not quantity.low <= reading.value <= quantity.high
    return reading._replace(flags=reading.flags | (2 if odd else 0), covers=covers)


def _rank(reading: Reading) -> tuple[Any, ...]:
    value = -math.inf if reading.value is None else reading.value
    covers = -1.0 if reading.covers is None else reading.covers
    return *_edition(reading), value, reading.weight, reading.flags, covers


def _edition(reading: Reading) -> tuple[Any, ...]:
    return reading.status, (reading.covers if reading.flags & UNFINISHED else math.inf), reading.version


def _winner(group: list[Reading]) -> Reading:
    best = max(group, key=_rank)
    values = {(one.value, one.weight) for one in group if one.value is not None and _edition(one) == _edition(best)}
    apart = {round(value / QUANTITIES[best.quantity].agree) for value, _ in values}
    found = AMBIGUOUS * (len(values) > 1) | CONFLICT * (len(apart) > 1)
    return best._replace(flags=best.flags | found)


def evidence(readings: Iterable[Reading]) -> dict[str, Any]:
    """Give the evidence of one window from the readings in it."""
    rows = list(readings)
    clean = [one for one in rows if not one.flags & EXCLUDING]
    counted = [(one.value, one.weight) for one in clean if one.value is not None]
    unknown = any(one.covers is None for one in clean)
    return {
        "readings": len(counted),
        "nothing": sum(one.value is None for one in clean),
        "flagged": sum(one.value is not None for one in rows if one.flags & EXCLUDING),
        "failed": sum(one.value is None for one in rows if one.flags & EXCLUDING),
        "warned": sum(bool(one.flags & WARNING) for one in clean),
        "total": math.fsum(value for value, _ in counted),
        "weight": math.fsum(weight for _, weight in counted),
        "weighted": math.fsum(value * weight for value, weight in counted),
        "squares": math.fsum(value * value for value, _ in counted),
        "minimum": min((value for value, _ in counted), default=None),
        "maximum": max((value for value, _ in counted), default=None),
        "covered": None if unknown else math.fsum(one.covers or 0.0 for one in clean),
        "status": min(one.status for one in rows),
    }


def windows(readings: dict[Key, Reading], level: str, zone: str) -> dict[Key, dict[str, Any]]:
    """Give the evidence of every window of a level."""
    groups: dict[Key, list[Reading]] = {}
    for (series, start), reading in readings.items():
        groups.setdefault((series, _label(start, level, QUANTITIES[series[2]].zone or zone)), []).append(reading)
    return {key: evidence(group) for key, group in groups.items()}


def _label(start: datetime, level: str, zone: str) -> datetime:
    if level == "5m":
        return start - timedelta(minutes=start.minute % 5, seconds=start.second, microseconds=start.microsecond)
    if level == "1h":
        return start.replace(minute=0, second=0, microsecond=0)
    local = start.astimezone(ZoneInfo(zone)).replace(hour=0, minute=0, second=0, microsecond=0)
    return local.astimezone(UTC)
