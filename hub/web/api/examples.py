"""
An example of every column, for the OpenAPI document: one hour of one station, and what there is about it.

`hub.web.api.document` puts the examples of each list together from these.
"""

from collections.abc import Mapping

POINT = {"type": "Point", "coordinates": [6.5793, 53.2169]}
EXAMPLES: Mapping[str, object] = {
    "sensor_id": "luchtmeetnet/NL10937", "source": "luchtmeetnet", "title": "Luchtmeetnet (RIVM and partners)",
    "class": "reference", "licence": "open data, RIVM", "commercial_use": True, "name": "Groningen-Europaweg",
    "kind": None, "lon": 6.5793, "lat": 53.2169, "lanes": None, "inferred": False, "catalogued": False, "series": 1,
    "quantities": ["no2"], "quantity": "no2", "channel": "", "period": 3600, "unit": "ug/m3", "aggregation": "mean",
    "day": "cet", "low": -10.0, "high": 1000.0, "start": "2024-06-01T11:00:00Z", "end": "2024-06-01T12:00:00Z",
    "value": 9.04, "estimate": None, "minimum": 9.04, "maximum": 9.04, "readings": 1, "nothing": 0, "flagged": 0,
    "failed": 0, "warned": 0, "coverage": 1.0, "valid": True, "revision": 1, "computed_at": "2024-07-02T08:00:00Z",
    "weight": 1.0, "covers": 3600.0, "flags": [], "status": "validated", "version": "2024-07-01T06:00:00Z",
    "received_at": "2024-07-02T07:59:58Z", "vintage": 2024, "code": "GM0014", "level": "gemeente",
    "municipality": "GM0014", "derived": False, "sensors": 2, "valid_sensors": 1, "members": ["luchtmeetnet/NL10937"],
    "statistics": {"inhabitants": 243_768.0}, "key": "5f0c", "topic": "stadspuls/luchtmeetnet/NL10937",
    "reason": "unknown unit 'ppm'", "count": 3, "size": 212, "payload": "eyJ2YWx1ZSI6IDF9",
    "first_at": "2024-06-01T11:00:03Z", "last_at": "2024-06-01T12:00:03Z", "index": 104.2, "panel": 1, "heavy": 120.0,
    "vehicles": 2_400.0, "share": 0.05, "windows": 24, "subject": "luchtmeetnet/NL10937", "above": 3,
    "valid_hours": 718, "hours": 720, "not_measured": 0.0028, "threshold": 25.0, "hour_of_week": 7, "label": "Mon 07",
    "mean": 20.0, "about": "Mean by hour of the week.", "alert": 17, "rule": "eu2008-no2-alert",
    "severity": "critical", "state": "raised", "since": "2024-06-01T09:00:00Z", "until": None, "worst": 431.0,
    "late": False, "withdrawn": False, "raised_at": "2024-06-01T12:01:00Z",
    "cleared_at": None, "acknowledged_at": None, "pack": "eu-2008-50", "owner": "air quality",
    "runbook": "docs/alerts.md#legal-thresholds", "channels": ["operators"], "silence": 3,
    "first": "2024-06-01T00:00:00Z", "last": None, "weekly": ["daily 22:00-07:00"], "made_by": "Anna",
}  # fmt: skip
