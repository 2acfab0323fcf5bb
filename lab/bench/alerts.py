"""
How long an alert takes from a reading's publish to the notification leaving, and what 100 rules cost the write path.

*Delay*: the hub runs as users run it and takes a steady 1,000 messages a second; one in a hundred is a value beyond the
threshold of a 5-minute rule, each of another sensor, of a window that has just ended. A webhook of the bench's own
notes when each alert arrives. The time runs from when the message was due. The channel is as shipped, the rule
critical: what is less so waits a second for its like. The baseline is the same door sending to the same webhook by
itself.

*Cost*: batches of one minute of 10,000 series are stored by turns without rules and with 100 rules of which none is
met, every window ended, so that every batch is judged: in ordinary traffic only each fifth is.
"""

import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aggregates.store.store import Store
from hub.settings.settings import Settings
from ingest.mqtt.sender import Sender
from ingest.vocabulary.calendar import load_days
from ingest.vocabulary.readings import microseconds
from lab.bench.latency import message, send
from lab.load.alarms import Hook, alarm, alerting, webhook
from lab.load.result import Result
from lab.load.servers import database, hub, received, scratch, until
from lab.load.traffic import BEGIN, MINUTE, Traffic
from streams.alerts.judge import Judge
from streams.alerts.rulebook import Rule
from streams.commit.pipeline import Pipeline

SERIES, RULES = 10_000, 100
_EVERY = 100  # one message in so many raises an alert
_PATIENCE = 120.0  # s


def alerts(settings: Settings, rate: int = 1_000, seconds: float = 30.0, batches: int = 20) -> Result:
    """Measure the delay for `seconds`, then the cost over `batches` on either side; the default takes two minutes."""
    with scratch(settings) as directory, webhook() as hook:
        waits, alone = _delay(settings, directory, hook, rate, seconds)
    without, ruled = _cost(settings, batches)
    p99, baseline = float(np.quantile(waits, 0.99)), float(np.median(alone))
    details: dict[str, object] = {
        "messages_s": rate, "alerts": len(waits), "posts": hook.posts, "median_s": round(float(np.median(waits)), 3),
        "p99_s": round(p99, 3), "max_s": round(float(waits.max()), 3), "rules": RULES, "series": SERIES,
        "write_s": round(without, 3), "write_and_judge_s": round(ruled, 3),
        "cost": round((ruled - without) / without, 3), "limits": "p99 5 s, cost 0.2 of the write path",
    }  # fmt: skip
    name = "the same door sending to the same webhook by itself, median; the ratio is how many times that"
    return Result("alerts", p99, "s", baseline, name, p99 / baseline, details)


def _delay(
    settings: Settings, directory: Path, hook: Hook, rate: int, seconds: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give how long each alert took, and how long the door takes by itself."""
    now = datetime.now(UTC)
    window = now.replace(minute=now.minute // 5 * 5, second=0, microsecond=0) - timedelta(minutes=5)
    count = int(rate * seconds)
    with hub(alerting(settings, directory, hook)) as running, Sender(running.address) as sender:
        before = (message(number, now - timedelta(minutes=1)) for number in range(count))
        send(sender, 1e6, chain(before, (alarm(number, window, 10) for number in range(0, count, _EVERY))))
        with closing(Store(running.database)) as store:
            until(lambda: received(store), count + count // _EVERY, "readings committed", _PATIENCE)
        due = send(sender, rate, (_one(number, now, window) for number in range(count)))
        until(lambda: len(hook.seen), count // _EVERY, "alerts notified", _PATIENCE)
    waits = [hook.seen[f"stadspuls/ALARM-{n:06d}"] - due[n] for n in range(0, count, _EVERY)]
    return np.array(waits), _alone(hook)


def _one(number: int, now: datetime, window: datetime) -> tuple[str, bytes]:
    return message(number, now) if number % _EVERY else alarm(number, window, 412)


def _alone(hook: Hook, times: int = 50) -> NDArray[np.float64]:
    from streams.notify.apprise_door import AppriseDoor
    from streams.notify.texts import Notification  # with Apprise, which no other bench needs

    door = AppriseDoor(f"json://127.0.0.1:{hook.port}/")
    found = []
    for _ in range(times):
        began = time.perf_counter()
        door.send(Notification(key="bench", title="bench", body="bench"))
        found.append(time.perf_counter() - began)
    return np.array(found)


def _cost(settings: Settings, batches: int) -> tuple[float, float]:
    """Give the seconds that storing takes without rules and with them, batch by batch in turn."""
    judge = Judge({rule.name: rule for rule in map(_rule, range(RULES))}, load_days(settings.timezone))
    with database(settings) as (store, _):
        traffic = Traffic(store, SERIES)
        sides = (Pipeline(store), Pipeline(store, judge=judge.batch))
        begin = microseconds(datetime.now(UTC)) // MINUTE * MINUTE - (2 * batches + 10) * MINUTE
        spent = [0.0, 0.0]
        for minute in range(2 * batches + 2):
            rows = traffic.rows(minute, 1)
            for name in ("start", "received_at"):
                rows[name] += begin - BEGIN
            batch, began = traffic.batch(rows), time.perf_counter()
            sides[minute % 2].store(batch)
            if minute > 1:  # the first of either side makes its session ready
                spent[minute % 2] += time.perf_counter() - began
    return spent[0], spent[1]


def _rule(number: int) -> Rule:
    quantity = ("vehicle_count", "vehicle_speed")[number % 2]
    return Rule(name=f"bench-{number}", title="bench", quantity=quantity, level="5m", raise_at=10_000.0 + number)
