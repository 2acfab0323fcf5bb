"""
The services of the distributed hub, each a process of its own that loads what it alone needs.

    broker ──▶ collect ──▶ Kafka ──▶ work ──▶ database ◀── rollup
                                                 ▲──────── serve

Between broker and log, and between log and database, this is the code of the embedded hub (`hub.run.embedded`), which
has the same `intake`; `ingest.mqtt.slots` assigns the sessions at the broker. `hub.cli.run` runs it by command line.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Self

import structlog

from aggregates.store.errors import StoreError
from aggregates.store.store import Store
from hub.run.parts import END_WITHIN, Turns, needed, topics
from hub.settings.settings import Settings
from hub.web.metrics import ServiceCollector, histogram, numbers
from ingest.collector import Collector
from ingest.files.site_table import SITES_FILE, current
from ingest.formats.registry import load_formats
from ingest.mqtt.address import Address
from ingest.mqtt.client import LOOK_EVERY, clear_retained
from ingest.mqtt.receiver import Receiver
from ingest.mqtt.sender import Sender
from ingest.mqtt.slots import lost_slots, take_slot
from ingest.vocabulary import sources
from ingest.vocabulary.batch import Batch

if TYPE_CHECKING:
    from hub.run.upkeep import Upkeep
    from streams.commit.pipeline import Position

DATABASE = "postgresql://..."  # as an example
GROUP = "stadspuls"  # of the collectors, at the broker
_DRAIN_WITHIN = 30.0  # s to empty a slot; the rest waits in the broker

log = structlog.get_logger(__name__)


def intake(
    undo: ExitStack, settings: Settings, broker: Address, client_id: str,
    put: Callable[[Batch, Callable[[], None]], None], on_failure: Callable[[BaseException], None], group: str = "",
) -> tuple[Receiver, Collector]:  # fmt: skip
    """
    Make what receives messages of a broker, and what makes batches of them for a log's `put`.

    What a broker that is named retains is kept within its limit until `undo`; the built-in one sees to that itself.
    """
    if settings.sta_updates:
        sources.NEWS = tuple({*sources.NEWS, sources.UPDATES})
    if settings.broker:
        look = partial(clear_retained, broker, settings.retained_bytes)
        undo.enter_context(Turns("retained messages", LOOK_EVERY, look))
    receiver = Receiver(
        broker, sources.subscriptions(), client_id, group,
        in_flight_messages=settings.in_flight_messages, in_flight_bytes=settings.in_flight_bytes,
    )  # fmt: skip
    taken = receiver.rounds, receiver.acknowledge, put, partial(current, settings.data_dir / SITES_FILE)
    return receiver, Collector(*taken, settings.earliest, on_failure)


def updates(undo: ExitStack, settings: Settings, database: str, at: Address | None, client_id: str) -> list[Turns]:
    """Send updates of SensorThings over MQTT until `undo`, where the settings ask for them; raises CannotStart."""
    if not settings.sta_updates:
        return []
    from hub.web.sta.updates import Updates

    where = at or Address.parse(needed(settings, "broker", "mqtt://host")).with_credentials(settings.credentials)
    store = Store(database, application="stadspuls updates")
    part = Updates(settings, store, undo.enter_context(Sender(where, client_id=client_id)))
    return [undo.enter_context(Turns("updates of SensorThings", settings.rollup_every, part.turn, store.close))]


class Collect:
    """
    `stadspuls collect`: off the broker, onto Kafka, while the `with` block runs.

    Leaving it finishes what was taken. Where another collector stays, the broker's session of this slot is emptied and
    ended; the last one keeps it, for what is published until the next one starts. `emptied` is whether it was. Raises
    CannotStart, and BlockingIOError where another collector has the slot.
    """

    def __init__(self, settings: Settings, slot: int | None = None) -> None:
        self.failed = threading.Event()
        self.emptied = False
        self._settings, self._wanted = settings, slot
        self._slots = settings.slots_dir or settings.data_dir / "slots"
        self._undo = ExitStack()

    def __enter__(self) -> Self:
        from hub.web.http import metrics_served
        from ingest.log.kafka import KafkaLog

        with ExitStack() as undo:
            settings = self._settings
            address = Address.parse(needed(settings, "broker", "mqtt://host")).with_credentials(settings.credentials)
            load_formats(settings.mappings)
            self.slot = undo.enter_context(take_slot(self._slots, self._wanted))
            self.log = KafkaLog(topics(settings), settings.batch_readings * 2)
            self.receiver, self.collector = intake(
                undo, settings, address, self.slot.client_id, self.log.put, lambda _: self.failed.set(), GROUP
            )
            undo.callback(self._stop)
            self.collector.start()
            self.receiver.start()
            undo.enter_context(metrics_served(settings, ServiceCollector(numbers("collect", self)), self._health))
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    @property
    def broken(self) -> bool:
        """Whether nothing is acknowledged any more, because of a bug, which is in the log."""
        return self.failed.is_set() or self.log.failed is not None

    @property
    def lost(self) -> int:
        """How many sessions at the broker have no collector."""
        return len(lost_slots(self._slots))

    def wait_ready(self, seconds: float) -> bool:
        """Wait until the broker took the subscription; False when `seconds` were not enough."""
        if not self.receiver.ready.wait(seconds):
            return False
        self.slot.joined()
        return True

    def _stop(self) -> None:
        if self.broken:
            self.receiver.stop(0.1)
        elif self.slot.may_leave():
            self.emptied = self.receiver.leave(_DRAIN_WITHIN)
            self.slot.left(self.emptied)
            done = "slot emptied" if self.emptied else "slot not emptied in time, it keeps the rest"
            log.info(done, slot=self.slot.number)
        else:
            self.receiver.stop(END_WITHIN)
            log.info("no other collector, the broker keeps what comes for this one", slot=self.slot.number)
        self.log.close(END_WITHIN)
        self.collector.join(END_WITHIN)

    def _health(self) -> dict[str, object]:
        trouble = [f"broker: {self.receiver.address} does not answer"] * (not self.receiver.is_up) + self.log.trouble
        return {
            "ready": not (trouble or self.broken), "trouble": trouble, "slot": self.slot.number,
            "messages_received": self.receiver.received, "messages_in_flight": self.receiver.in_flight,
            "readings_in_flight": self.log.in_flight,
        }  # fmt: skip


def work(settings: Settings) -> None:
    """`stadspuls work`: off Kafka, into the database, until SIGINT or SIGTERM."""
    from aggregates.store.health import positions
    from hub.run.upkeep import judge_of
    from hub.web.http import metrics_served
    from ingest.log.topics import make_topics
    from streams.commit.pipeline import Pipeline
    from streams.worker.worker import Worker

    stop = threading.Event()
    log_of, conninfo = topics(settings), needed(settings, "database", DATABASE)
    with closing(Store(conninfo, application="stadspuls work")) as store:
        if not make_topics(log_of, stop):
            return
        pipeline = Pipeline(store, stop, judge_of(settings).batch, settings.new_sensors)
        seconds = histogram("work_batch_seconds", "seconds until a batch was stored, retries included", 0.01)
        readings = histogram("work_batch_readings", "readings in a batch", 1)

        def store_measured(batch: Batch, position: "Position") -> None:
            readings.observe(len(batch))
            with seconds.time():
                pipeline.store(batch, position)

        def health() -> dict[str, object]:
            trouble, done = pipeline.trouble + worker.trouble, worker.metrics
            ready = worker.ready and not trouble
            return {"ready": ready, "trouble": trouble, "lag": done.lag, "partitions": done.partitions}

        worker = Worker(log_of, settings.kafka_group, store_measured, lambda: positions(store), stop)
        gauges = numbers("work", worker.metrics) | numbers("pipeline", pipeline)
        with metrics_served(settings, ServiceCollector(gauges, [seconds, readings]), health):
            worker.run()


@contextmanager
def rollup(settings: Settings) -> Iterator["Upkeep"]:
    """`stadspuls rollup`: hours, days, retention, the nightly proof and notifications, by who holds the locks."""
    from hub.run.notifying import notifier_of
    from hub.run.upkeep import Upkeep, judge_of
    from hub.web.http import metrics_served

    conninfo = needed(settings, "database", DATABASE)
    notifier = notifier_of(settings, conninfo)
    store = Store(conninfo, application="stadspuls rollup")
    upkeep = Upkeep(store, settings, judge_of(settings, conninfo), shared=True)
    gauges = numbers("notifier", notifier) | numbers("upkeep", upkeep) | numbers("rollup", upkeep)

    def health() -> dict[str, object]:
        trouble = upkeep.trouble + notifier.trouble + [text for one in sending for text in one.trouble]
        return {
            "ready": upkeep.turns > 0 and notifier.turns > 0 and not trouble, "trouble": trouble,
            "leads": upkeep.leads, "notifies": notifier.leads, "alerts_leave": notifier.healthy,
        }  # fmt: skip

    with ExitStack() as undo:
        sending = updates(undo, settings, conninfo, None, "")
        undo.enter_context(metrics_served(settings, ServiceCollector(gauges, [upkeep.took]), health))
        undo.callback(notifier.stop, END_WITHIN)
        notifier.start()
        yield undo.enter_context(upkeep)


def serve(settings: Settings) -> AbstractContextManager[str]:
    """`stadspuls serve`: the HTTP side over the database; gives its address."""
    from hub.web.http import application, listening

    conninfo = needed(settings, "database", DATABASE)

    def health() -> dict[str, object]:
        with closing(Store(conninfo, application="stadspuls ready")) as store:
            try:
                return {"ready": bool(store.rows("read_catalogue_version")), "trouble": []}
            except StoreError as error:
                return {"ready": False, "trouble": [f"the database: {error}"]}

    app = application(ServiceCollector({}, database=conninfo), health, settings, conninfo)
    return listening(app, settings.http_host, settings.http_port)
