"""
The columns of every list of the API, by name: type and meaning, once.

`aggregates.ask.listings` makes Arrow schemas of them; the API's document, its JSON, Parquet and Arrow follow from
these.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pyarrow as pa

from aggregates.areas.measures import MEASURES

TEXT, NUMBER, COUNT, YES_OR_NO, BYTES = pa.string(), pa.float64(), pa.int64(), pa.bool_(), pa.binary()
STAMP, DATE = pa.timestamp("us", "UTC"), pa.date32()
MANY = pa.list_(pa.field("item", TEXT, nullable=False))
STATISTICS = pa.struct([pa.field(name, NUMBER) for name in MEASURES])

COLUMNS: Mapping[str, tuple[pa.DataType, str]] = MappingProxyType({
    "sensor_id": (TEXT, "`<source>/<the supplier's id>`, opaque and case-sensitive"),
    "source": (TEXT, "who supplied it"),
    "title": (TEXT, "name for people"),
    "class": (TEXT, "how far it may be trusted: reference, operational or citizen"),
    "licence": (TEXT, "under which terms the supplier gives the data"),
    "commercial_use": (YES_OR_NO, "whether they may be used commercially"),
    "name": (TEXT, "name for people"),
    "kind": (TEXT, "what it is, as its catalogue calls it"),
    "lon": (NUMBER, "longitude in degrees (WGS84); null: no place known"),
    "lat": (NUMBER, "latitude in degrees (WGS84); null: no place known"),
    "lanes": (COUNT, "lanes it counts; null: not known"),
    "inferred": (YES_OR_NO, "whether the lanes were guessed from the supplier's layout"),
    "catalogued": (YES_OR_NO, "whether it was imported by hand"),
    "series": (COUNT, "how many series it has"),
    "quantities": (MANY, "what it measures"),
    "quantity": (TEXT, "what was measured"),
    "channel": (TEXT, "lane, direction or class of vehicle; empty: the whole sensor, or its only channel"),
    "period": (COUNT, "seconds that a reading spans; 0: an instant"),
    "unit": (TEXT, "unit of value, estimate, minimum and maximum"),
    "aggregation": (TEXT, "how readings become one figure: sum, mean or weighted_mean"),
    "day": (TEXT, "its kind of day: civil (23, 24 or 25 hours) or cet (UTC+1)"),
    "low": (NUMBER, "least plausible value"),
    "high": (NUMBER, "largest plausible value"),
    "start": (STAMP, "begin, inclusive, UTC"),
    "end": (STAMP, "end, exclusive, UTC"),
    "date": (DATE, "local date; of days, of the quantity's kind of day"),
    "local_start": (TEXT, "`start` in the hub's time zone, with its offset"),
    "value": (NUMBER, "what was observed, the sum or the mean; null: nothing has a value (which is not zero)"),
    "estimate": (NUMBER, "of a sum: the mean rate of the covered part times the window"),
    "minimum": (NUMBER, "least value"),
    "maximum": (NUMBER, "largest value"),
    "readings": (COUNT, "readings with a value that counts"),
    "nothing": (COUNT, "readings that observed nothing to measure"),
    "flagged": (COUNT, "readings with a value that a flag keeps out"),
    "failed": (COUNT, "readings without a value, with a flag"),
    "warned": (COUNT, "readings with a flag that only warns"),
    "coverage": (NUMBER, "share of the window that was covered, 0 to 1; null: not known"),
    "valid": (YES_OR_NO, "whether enough is covered, by the quantity's rule"),
    "revision": (COUNT, "how often the window was made"),
    "computed_at": (STAMP, "when it was made last"),
    "weight": (NUMBER, "what the value weighs; of a speed, the vehicles it averages"),
    "covers": (NUMBER, "seconds it stands for; null: not known"),
    "flags": (MANY, "what is known to be odd about it"),
    "status": (TEXT, "provisional or validated"),
    "version": (STAMP, "the supplier's publication stamp; null: none"),
    "received_at": (STAMP, "when the hub received it"),
    "vintage": (COUNT, "year of the area's boundaries"),
    "code": (TEXT, "code of CBS, as GM0014, WK001400 or BU00140002"),
    "level": (TEXT, "gemeente, wijk or buurt; of a rule: 5m, 1h, 1d or clock"),
    "municipality": (TEXT, "code of its municipality"),
    "derived": (YES_OR_NO, "whether the boundary is the union of its buurten"),
    "sensors": (COUNT, "sensors in it; of a window: with a window"),
    "valid_sensors": (COUNT, "sensors whose window is valid: those the value is made of"),
    "members": (MANY, "the valid sensors"),
    "statistics": (STATISTICS, "figures of CBS by measure; null: none, or withheld"),
    "geometry": (BYTES, "boundary as WKB, degrees (WGS84); null: none known"),
    "key": (TEXT, "identifies a dead letter"),
    "topic": (TEXT, "MQTT topic it came on"),
    "reason": (TEXT, "why it could not be taken"),
    "count": (COUNT, "how often it came"),
    "size": (COUNT, "bytes of the payload"),
    "payload": (BYTES, "the message, base64 in JSON and CSV; null: deleted, shorter than `size`: cut off"),
    "first_at": (STAMP, "when it came first"),
    "last_at": (STAMP, "when it came last"),
    "index": (NUMBER, "the panel's sum, base period = 100; null: one of the panel is not valid"),
    "panel": (COUNT, "sensors of the panel"),
    "heavy": (NUMBER, "heavy vehicles"),
    "vehicles": (NUMBER, "all vehicles of the same windows"),
    "share": (NUMBER, "heavy by vehicles"),
    "windows": (COUNT, "windows it rests on"),
    "subject": (TEXT, "a sensor, or the area itself"),
    "above": (COUNT, "valid hours above the threshold"),
    "valid_hours": (COUNT, "valid hours"),
    "hours": (COUNT, "hours: of the period, or that the mean rests on"),
    "not_measured": (NUMBER, "share of the hours that is not valid"),
    "threshold": (NUMBER, "the limit, in the quantity's unit"),
    "hour_of_week": (COUNT, "0 to 167, Monday 00 first, in the hub's time zone"),
    "label": (TEXT, "weekday and hour"),
    "mean": (NUMBER, "mean of the valid values"),
    "about": (TEXT, "what it means"),
    "alert": (COUNT, "number of the alert"),
    "rule": (TEXT, "name of the rule, or the pattern of rules"),
    "severity": (TEXT, "info, warning or critical"),
    "state": (TEXT, "raised, acknowledged, silenced, cannot_judge or cleared"),
    "since": (STAMP, "start of the first window that caused it"),
    "local_since": (TEXT, "`since` in the hub's time zone, with its offset"),
    "until": (STAMP, "end of the window that cleared it; null: open"),
    "worst": (NUMBER, "worst value so far"),
    "late": (YES_OR_NO, "whether it was found afterwards, in data that came late"),
    "withdrawn": (YES_OR_NO, "whether later data show that it never was"),
    "raised_at": (STAMP, "when it was found"),
    "cleared_at": (STAMP, "when it was found to be over"),
    "acknowledged_at": (STAMP, "when somebody saw to it"),
    "pack": (TEXT, "the file of rules that contains it"),
    "owner": (TEXT, "who answers for it"),
    "runbook": (TEXT, "what to do"),
    "channels": (MANY, "channels that are notified"),
    "silence": (COUNT, "number of the silence"),
    "first": (STAMP, "begin, inclusive"),
    "last": (STAMP, "end, exclusive; null: none"),
    "weekly": (MANY, "windows of the week, local time; none: all of the time between"),
    "made_by": (TEXT, "who made it"),
})  # fmt: skip


def schema(names: str) -> pa.Schema:
    """
    Make a schema of named columns; a name that ends in `?` may be null.

    >>> [(field.name, field.nullable) for field in schema("code name?")]
    [('code', False), ('name', True)]
    """
    return pa.schema([_field(name) for name in names.split()])


def _field(word: str) -> "pa.Field[Any]":
    name = word.rstrip("?")
    kind, meaning = COLUMNS[name]
    return pa.field(name, kind, nullable=word.endswith("?"), metadata={"description": meaning})
