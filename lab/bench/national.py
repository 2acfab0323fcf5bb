"""
How long one NDW minute of the whole country takes, from the first MQTT message to its committed 5-minute rows.

The hub runs as users run it, `stadspuls up` in a process of its own; the messages (`lab.load.minute`) are published at
once, the first minute with all its series unknown, then minutes that follow it. They are stamped as if they were live,
so that the hour is the running one, as it is for a hub that keeps up. A minute is through when the accounting, which is
committed with the rows, has the last of its readings. The baseline is the minute itself: 60 s.
"""

import statistics
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aggregates.store.store import Store
from hub.settings.settings import Settings
from ingest.formats.registry import load_formats
from ingest.mqtt.sender import Sender
from lab.load import minute as minutes
from lab.load.balances import Balance, balances
from lab.load.result import Result
from lab.load.servers import BenchHub, hub, received, until
from lab.rig.service import repeated

_PATIENCE = 600.0  # s for a minute
_SAMPLE = 0.25  # s between two looks at the memory


def national(settings: Settings, file: Path | None = None, sites: int = minutes.SITES, known: int = 3) -> Result:
    """Measure a first minute and `known` that follow; the default takes a minute, most of it to get ready."""
    load_formats(settings.mappings)
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    minute = minutes.recorded(file) if file else minutes.made_up(sites)
    sent = list(minutes.following(minute, now - timedelta(minutes=known), known + 1))
    readings, refused = minute.readings(now)
    with hub(settings) as running, _memory(running) as peak, closing(Store(running.database)) as store:
        first, *later = _through(running, store, sent, readings + refused)
        balance = _balance(store)
    seconds = statistics.median(later)
    details: dict[str, object] = {
        "input": file.name if file else "made up", "messages": len(minute.messages), "readings": readings,
        "first_minute_s": round(first, 2), "known_minutes_s": [round(one, 2) for one in later],
        "readings_s": round(readings / seconds), "pss_mb": round(max(peak, default=0) / 1e6),
        "pss_mb_idle": round(peak[0] / 1e6) if peak else 0, "received": balance.received, "stored": balance.stored,
        "duplicate": balance.duplicate, "corrected": balance.corrected, "rejected": balance.rejected,
        "accounted": balance.holds and balance.received == (readings + refused) * len(sent),
    }  # fmt: skip
    return Result("national", seconds, "s", 60.0, "real time: the minute itself, 60 s", 60.0 / seconds, details)


def _through(running: BenchHub, store: Store, sent: list[minutes.Minute], readings: int) -> list[float]:
    """Publish one minute after the other and give the seconds of each."""
    found = []
    with Sender(running.address) as sender:
        for number, minute in enumerate(sent, 1):
            began = time.perf_counter()
            for topic, payload in minute.messages:
                sender.publish(topic, payload)
            until(lambda: received(store), readings * number, "readings committed", _PATIENCE)
            found.append(time.perf_counter() - began)
    return found


def _balance(store: Store) -> Balance:
    return next((one for one in balances(store) if one.source == "ndw"), Balance("ndw", 0, 0, 0, 0, 0))


@contextmanager
def _memory(running: BenchHub) -> Iterator[list[int]]:
    """Sample the hub's memory while the block runs; the first sample is that of a hub that has seen nothing."""
    samples = [running.pss()]
    with repeated(lambda: samples.append(running.pss()), _SAMPLE):
        yield samples
