"""
Numbered readings, and the windows that must be made of them: pure.

Number n is a minute of sensor n modulo `sensors`, with a value that follows from n alone. So the count of published
readings gives every reading and every window, without asking the hub. `lab.chaos.publisher` sends them,
`lab.chaos.checks` compares.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

QUANTITY = "bicycle_count"
BEGIN = datetime(2024, 3, 1, 22, tzinfo=UTC)  # an hour before midnight in Amsterdam
BAD_EVERY = 1_000  # of so many messages one is followed by one that cannot be read
_MINUTE = 60_000_000  # us


@dataclass(frozen=True, slots=True)
class NumberedReadings:
    """The numbers from 0, spread over `sensors`; `zone` is the hub's, where civil days begin."""

    sensors: int
    zone: str

    def message(self, number: int) -> tuple[str, bytes]:
        """
        Give topic and payload of a number.

        >>> NumberedReadings(10, "UTC").message(21)[1].decode()[:60]
        '{"sensor_id":"stadspuls/chaos-00001","quantity":"bicycle_cou'
        """
        minute, sensor = divmod(number, self.sensors)
        payload = (
            f'{{"sensor_id":"{sensor_id(sensor)}","quantity":"{QUANTITY}","period":60,'
            f'"start":"{BEGIN + timedelta(minutes=minute):%Y-%m-%dT%H:%M:%SZ}","value":{value(number)}}}'
        )
        return f"stadspuls/{sensor_id(sensor)}", payload.encode()

    def bad(self, number: int) -> tuple[str, bytes] | None:
        """Give the message that follows a number and is no reading, where one does."""
        if number % BAD_EVERY:
            return None
        return f"stadspuls/{sensor_id(0)}", b"not a reading, number %d" % number

    def readings(self, count: int) -> pd.DataFrame:
        """Give the first `count` readings: sensor (a number), start (us since 1970), value."""
        numbers = np.arange(count, dtype=np.int64)
        minute, sensor = np.divmod(numbers, self.sensors)
        start = int(BEGIN.timestamp()) * 1_000_000 + minute * _MINUTE
        return pd.DataFrame({"sensor": sensor, "start": start, "value": value(numbers).astype(float)})

    def windows(self, count: int, level: str) -> pd.DataFrame:
        """Give the windows of these readings: sensor, start (UTC), readings, value (the sum), minimum, maximum."""
        rows = self.readings(count)
        start = pd.to_datetime(rows.pop("start"), unit="us", utc=True)
        rows["start"] = _begin(start, level, self.zone)
        found = rows.groupby(["sensor", "start"], as_index=False).agg(
            readings=("value", "count"), value=("value", "sum"), minimum=("value", "min"), maximum=("value", "max")
        )
        return found.sort_values(["sensor", "start"], ignore_index=True)


def sensor_id(sensor: int) -> str:
    """Give the id of a sensor by its number."""
    return f"stadspuls/chaos-{sensor:05d}"


N = TypeVar("N", int, NDArray[np.int64])


def value(number: N) -> N:
    """Give the value of a number, or of many."""
    return number * 7919 % 97


def _begin(start: "pd.Series[pd.Timestamp]", level: str, zone: str) -> "pd.Series[pd.Timestamp]":
    if level == "1d":
        return start.dt.tz_convert(zone).dt.normalize().dt.tz_convert("UTC")
    return start.dt.floor({"5m": "5min", "15m": "15min", "1h": "1h"}[level])
