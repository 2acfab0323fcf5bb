"""
Everything that goes on at once in the soak, each in a thread of its own, from the beginning to the end:

- `live`: four times a second a share of the sensors commits its newest step, as many as live traffic would bring;
- `amend`: every second readings that come late and readings that are corrected, of any hour of history;
- `roll_up`: a whole hour of all sensors before the history, and how long until the hub has rolled it up;
- `ask`: five questions to the hub's HTTP side, about any day of history;
- `alarm`: every second a message through MQTT that raises an alert, until it arrives at a webhook;
- `yardstick`: a COPY of the same 5,000 rows into a temporary table, which shows what else the machine does.

Commits go through a `Pipeline` of this process, each thread's at a place of its own on the log, as workers have, for
none shall wait for another's; questions and alerts through the hub, which also rolls up.
"""

import random
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import numpy as np

from aggregates.store.store import Store
from ingest.mqtt.sender import Sender
from ingest.vocabulary.batch import Batch
from ingest.vocabulary.readings import utc
from lab.load.alarms import Hook, alarm
from lab.load.servers import BenchHub, until
from lab.soak.history import APART, HOUR, SECOND, History
from lab.soak.samples import Samples
from streams.commit.pipeline import Pipeline, Position
from streams.commit.windows import READING

TICK = 0.25  # s between two commits of live readings
AT_ONCE = 250  # sensors of which one batch of late readings or of corrections is
PATIENCE = 600.0  # s
PIECE = 50_000  # readings of history in a batch


@dataclass
class Fates:
    """What the accounting must say in the end."""

    stored: int = 0
    corrected: int = 0
    duplicate: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, stored: int = 0, corrected: int = 0, duplicate: int = 0) -> None:
        """Count readings."""
        with self.lock:
            self.stored += stored
            self.corrected += corrected
            self.duplicate += duplicate


class Load:
    """The threads of the load. `hours` of history, numbered from the newest back, are there to be asked and amended."""

    def __init__(self, hub: BenchHub, history: History, hook: Hook, days: int) -> None:
        self.samples, self.fates, self.hours = Samples(), Fates(), 24
        self.before = 0  # hours before the history that were committed
        self._hub, self._history, self._hook, self._days = hub, history, hook, days
        self._ended = threading.Event()
        self._errors: list[BaseException] = []
        self._random = random.Random(15)
        self._per_hour = HOUR // history.period

    @contextmanager
    def running(self) -> Iterator["Load"]:
        """Run all of it while the block runs; raises what a thread raised."""
        whats = (self._live, self._amend, self._roll_up, self._ask, self._alarm, self._yardstick)
        threads = [threading.Thread(target=self._kept, args=(what,), name=what.__name__) for what in whats]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self._ended.set()
            for thread in threads:
                thread.join(PATIENCE)
        self.check()

    def check(self) -> None:
        """Raise what a thread raised."""
        if self._errors:
            raise self._errors[0]

    def _kept(self, what: Callable[[], None]) -> None:
        try:
            what()
        except BaseException as error:
            self._errors.append(error)
            self._ended.set()

    @contextmanager
    def _writer(self) -> Iterator[Callable[[str, Batch], None]]:
        with closing(Store(self._hub.database, application="stadspuls soak")) as store:
            pipeline, place = Pipeline(store), Position(threading.current_thread().name)

            def write(figure: str, batch: Batch) -> None:
                if len(batch):
                    with self.samples.timed(figure):
                        pipeline.store(batch, place)

            yield write

    def fill(self, first: int, hours: int, figure: str = "commit of history") -> None:
        """Commit some hours of all sensors, the oldest first; `first` counts from the beginning of history."""
        with self._writer() as write:
            for hour in range(first, first + hours):
                for some in self._some(max(1, PIECE // (4 * self._per_hour))):
                    batch = self._history.whole(hour * self._per_hour, self._per_hour, some)
                    write(figure, batch)
                    self.fates.add(stored=len(batch))
                    self.check()

    def _some(self, most: int) -> Sequence[range]:
        count = len(self._history.sensors)
        return [range(at, min(at + most, count)) for at in range(0, count, most)]

    def _live(self) -> None:
        """Commit the step that has just ended, a share of the sensors each time."""
        period = self._history.period
        shares = self._some(max(1, round(len(self._history.sensors) * TICK / period)))
        with self._writer() as write:
            step = int(time.time() - self._history.begin / SECOND) // period - 1
            while True:
                for number, some in enumerate(shares):
                    due = self._history.begin / SECOND + (step + 1) * period + number * period / len(shares)
                    if self._ended.wait(max(0.0, due - time.time())):
                        return
                    batch = self._history.whole(step, 1, some)
                    write("commit of live readings", batch)
                    self.fates.add(stored=len(batch))
                step += 1

    def _amend(self) -> None:
        """Commit late readings and corrections of an hour and some sensors, no two times the same."""
        done: set[tuple[int, range]] = set()
        blocks = self._some(AT_ONCE)
        with self._writer() as write:
            while not self._ended.wait(1.0):
                hour, some = self._any_hour(), self._random.choice(blocks)
                if (hour, some) in done:
                    continue
                done.add((hour, some))
                what = hour * self._per_hour, self._per_hour, some
                late, corrected = self._history.late(*what), self._history.corrected(*what)
                write("commit of late readings", late)
                write("commit of corrections", corrected)
                # Of speeds only the version is greater: it is stored, and counted as a duplicate.
                self.fates.add(len(late), len(corrected) // 2, len(corrected) // 2)

    def _any_hour(self) -> int:
        return self._days * 24 - self._random.randrange(1, self.hours + 1)

    def _roll_up(self) -> None:
        """Commit a whole hour before the history and wait until it is rolled up."""
        with closing(Store(self._hub.database, application="stadspuls soak")) as store:
            while not self._ended.wait(1.0):
                self.before += 1
                self.fill(-self.before, 1, "commit of a whole hour")
                hour = utc(self._history.begin - self.before * HOUR * SECOND)
                with self.samples.timed("roll-up of a whole hour"):
                    self.until_rolled(store, hour, hour)

    def until_rolled(self, store: Store, first: datetime, last: datetime) -> None:
        """Wait until what was committed by now of a range of hours is rolled up."""
        ((now,),) = store.rows("read_clock")

        def rolled() -> bool:
            self.check()
            return not store.rows("count_marks", first=first, last=last, made_by=now)[0][0]

        until(rolled, True, "ends of the roll-up", 100 * PATIENCE)

    def _ask(self) -> None:
        kinds: dict[str, Callable[[], str]] = {
            "one sensor": self._one, "a box": self._box, "an hour of all": self._hour, "latest": self._latest,
            "alerts": self._alerts,
        }  # fmt: skip
        while True:
            for kind, question in kinds.items():
                if self._ended.wait(0.1):
                    return
                url = f"{self._hub.http}/{question()}"
                with self.samples.timed(f"ask for {kind}"), urllib.request.urlopen(url, timeout=PATIENCE) as answer:
                    answer.read()

    def _aggregates(self, quantity: str, hours: int, **more: object) -> str:
        """Ask for hours of a day of history."""
        end = self._days * 24 - 24 * self._random.randrange(self.hours // 24)
        first, last = (utc(self._history.begin + (end - back) * HOUR * SECOND) for back in (hours, 0))
        span = {"from": f"{first:%Y-%m-%dT%H:%M:%SZ}", "to": f"{last:%Y-%m-%dT%H:%M:%SZ}"}
        return "api/v1/aggregates?" + urlencode({"quantity": quantity, "window": "1h", **span, **more})

    def _one(self) -> str:
        return self._aggregates("vehicle_count", 24, sensor=self._random.choice(self._history.sensors))

    def _box(self) -> str:
        west = 3.5 + self._random.randrange(max(1, min(3000, len(self._history.sensors)) - 40)) * APART - APART / 2
        return self._aggregates("vehicle_count", 24, bbox=f"{west:.4f},51.9995,{west + 40 * APART:.4f},52.0005")

    def _hour(self) -> str:
        return self._aggregates("vehicle_speed", 1)

    def _latest(self) -> str:
        return f"live/figures?quantity=vehicle_{self._random.choice(('count', 'speed'))}&lens=1h"

    def _alerts(self) -> str:
        return "api/v1/alerts?limit=100"

    def _alarm(self) -> None:
        """Raise an alert a second, each of another sensor, which said something harmless before."""
        waiting: dict[str, float] = {}
        with Sender(self._hub.address) as sender:
            for number in range(1_000_000):
                if self._ended.wait(1.0) and not waiting:
                    return
                now = datetime.now(UTC)
                window = now.replace(minute=now.minute // 5 * 5, second=0, microsecond=0) - timedelta(minutes=5)
                if not self._ended.is_set():
                    sender.publish(*alarm(number, window, 10))
                    sender.publish(*alarm(number, window, 412))
                    sender.flush(PATIENCE)
                    self.fates.add(stored=2)
                    waiting[f"stadspuls/ALARM-{number:06d}"] = time.perf_counter()
                self._arrived(waiting)

    def _arrived(self, waiting: dict[str, float]) -> None:
        for subject, began in list(waiting.items()):
            if subject in self._hook.seen:
                self.samples.add("alert", began, self._hook.seen[subject] - began)
                del waiting[subject]
            elif time.perf_counter() - began > PATIENCE:
                raise TimeoutError(f"no alert of {subject} after {PATIENCE:.0f} s")

    def _yardstick(self) -> None:
        rows = np.zeros(5_000, READING)
        rows["series"] = np.arange(len(rows))
        with closing(Store(self._hub.database, application="stadspuls soak")) as store:
            while not self._ended.wait(1.0):
                with self.samples.timed("yardstick"), store.transaction(writing=True) as tx:
                    tx.copy("stage", rows)
