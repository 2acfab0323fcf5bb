"""
How fast a year of hourly air goes in: a Luchtmeetnet file, from the first MQTT message to its last committed reading.

The hub runs as users run it, `stadspuls up` in a process of its own, and the file is cut as `stadspuls publish` cuts
it, some 35,000 values to a message. The baseline is the decoding alone, in one process that stores nothing.
"""

import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from aggregates.store.store import Store
from hub.settings.settings import Settings
from ingest.files.recordings import messages
from ingest.formats.coded.luchtmeetnet import PREAMBLE
from ingest.formats.decode import decode
from ingest.formats.registry import load_formats
from ingest.mqtt.sender import Sender
from ingest.vocabulary.readings import Message
from lab.load.result import Result
from lab.load.servers import hub, received, scratch, until

STATIONS = 72
HOURS = 8_760
COMPONENTS = ("NO2", "PM10", "PM25", "O3", "NO", "NOX", "SO2", "BC")
_PATIENCE = 600.0  # s
_CET = "%Y-%m-%dT%H:%M:%S+01:00"


def archive(settings: Settings, file: Path | None = None, hours: int = HOURS) -> Result:
    """Measure one file, by default made up: eight components of 72 stations, 5 million values."""
    load_formats(settings.mappings)
    with scratch(settings) as directory:
        path = file or made_up(directory / "2025_made_up.csv", hours)
        sent = [(topic, payload) for topic, payload, _ in messages(path, "luchtmeetnet")]
    received_at = datetime.now(UTC)
    began = time.perf_counter()
    readings = sum(len(decode([Message(topic, payload, received_at)])) for topic, payload in sent)
    alone = readings / (time.perf_counter() - began)
    with hub(settings) as running, closing(Store(running.database)) as store:
        idle, began = sum(running.cpu_seconds()), time.perf_counter()
        with Sender(running.address) as sender:
            for topic, payload in sent:
                sender.publish(topic, payload)
            until(lambda: received(store), readings, "readings committed", _PATIENCE)
        committed = time.perf_counter()
        taken = sum(running.cpu_seconds()) - idle
        until(lambda: not _waiting(store), True, "times that no hour waits for the roll-up", _PATIENCE)
        visible = time.perf_counter() - committed
        rolling = sum(running.cpu_seconds()) - idle - taken
    rate = readings / (committed - began)
    details: dict[str, object] = {
        "input": file.name if file else "made up", "readings": readings, "messages": len(sent),
        "seconds": round(readings / rate, 1), "visible_s": round(visible, 1), "cpu_s": round(taken, 1),
        "cpu_s_until_visible": round(rolling, 1),
    }  # fmt: skip
    return Result("archive", rate, "readings/s", alone, "decoding alone, one process", rate / alone, details)


def _waiting(store: Store) -> bool:
    """Tell whether an hour waits for the roll-up; its figures are seen once none does."""
    return bool(store.rows("find_mark", until=datetime.now(UTC)))


def made_up(path: Path, hours: int) -> Path:
    """Write a file of Luchtmeetnet's shape: a row for each component and hour, a column for each station."""
    chance, begin = Random(1), datetime(2025, 1, 1)  # noqa: DTZ001 - written with its offset
    stations = [f"NL{10_000 + at}" for at in range(STATIONS)]
    lines = [
        "Export;EXP-1 (2026-01-02T00:00:00+01:00)",
        "Periode;2025-01-01T00:00:00+01:00 - 2026-01-01T00:00:00+01:00",
        *[";"] * (PREAMBLE - 3),
        ";".join(["Component", "", "", "", "", *stations]),
    ]
    for component in COMPONENTS:
        for hour in range(hours):
            start, end = (begin + timedelta(hours=hour + one) for one in (0, 1))
            values = (f"{chance.uniform(0, 60):.2f}" for _ in stations)
            lines.append(";".join([component, "", "µg/m³", f"{start:{_CET}}", f"{end:{_CET}}", *values]))
    path.write_text("\n".join(lines) + "\n", "latin-1")
    return path
