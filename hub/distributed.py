"""
The services of the distributed hub: collect, work, rollup and serve, each a process of its own.

    broker ──▶ collect ──▶ Kafka ──▶ work ──▶ database ◀── rollup
                                                 ▲──────── serve

Between broker and log, and between log and database, this is the code of the embedded hub (`hub.embedded`);
`hub.cli_services` runs it by command line, and `ingest.slots` says which session at the broker is whose.
"""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import datetime
from functools import partial
from typing import Self

import structlog

from aggregates.store import Store, StoreError
from hub.embedded import SITES_FILE
from hub.http import HttpServer, application
from hub.metrics import HubCollector
from hub.servers import CannotStart
from hub.service_metrics import Gauges, metrics
from hub.settings import Settings
from hub.upkeep import Upkeep
from ingest.address import Address
from ingest.collector import Collector
from ingest.kafka import KafkaLog, make_topics
from ingest.receiver import Limits
from ingest.records import Topics
from ingest.registry import load_formats
from ingest.sitetable import SiteTable
from ingest.slots import Slot, SlotReceiver, SlotTaken, free_slot, take_slot
from ingest.sources import subscriptions
from streams.pipeline import Pipeline
from streams.worker import Worker

GROUP = "stadspuls"  # of the collectors, at the broker
_STOP_WITHIN = 30.0  # s to drain at a clean stop; what is left waits in the broker
_CLOSE_WITHIN = 6.0

log = structlog.get_logger(__name__)


def topics(settings: Settings) -> Topics:
    """Give the log that the settings name; raises CannotStart when they name none."""
    if not settings.kafka:
        raise CannotStart("no Kafka named, expected --kafka host:port")
    return Topics(
        settings.kafka, settings.kafka_topic, partitions=settings.kafka_partitions, replicas=settings.kafka_replicas
    )


def database(settings: Settings) -> str:
    """Give the database that the settings name; raises CannotStart when they name none."""
    if not settings.database:
        raise CannotStart("no database named, expected --database postgresql://...")
    return settings.database


def broker(settings: Settings) -> Address:
    """Give the broker that the settings name; raises CannotStart when they name none."""
    if not settings.broker:
        raise CannotStart("no broker named, expected --broker mqtt://host")
    return Address.parse(settings.broker).with_credentials(settings.credentials)


class Collect:
    """
    `stadspuls collect`: off the broker, onto Kafka; entering waits until the broker took the subscription.

    Leaving the `with` block drains: what the broker has for this slot is taken, then the session ends. `failed` is set
    when nothing more can be acknowledged.
    """

    def __init__(self, settings: Settings, slot: int | None = None) -> None:
        self.failed = threading.Event()
        self._settings, self._wanted = settings, slot
        self._undo = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            settings = self._settings
            load_formats(settings.mappings)
            self._slot = undo.enter_context(self._take_slot())
            self.log = KafkaLog(topics(settings), settings.batch_readings * 2)
            self.receiver = SlotReceiver(
                broker(settings), subscriptions(), self._slot.number, GROUP, settings.broker_connections,
                Limits(in_flight_messages=settings.in_flight_messages, in_flight_bytes=settings.in_flight_bytes),
            )  # fmt: skip
            sites = SiteTable(settings.data_dir / SITES_FILE)
            self.collector = Collector(self.receiver, self.log, sites.current, settings.earliest, self._fail)
            undo.callback(self._leave)
            self.collector.start()
            self.receiver.start()
            undo.enter_context(metrics(settings, self._numbers(), self._health))
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    @property
    def slot(self) -> int:
        """The number of the slot that this collector has."""
        return self._slot.number

    def _take_slot(self) -> Slot:
        directory = self._settings.slots_dir or self._settings.data_dir / "slots"
        try:
            return free_slot(directory) if self._wanted is None else take_slot(directory, self._wanted)
        except SlotTaken as error:
            raise CannotStart(str(error)) from error

    def _leave(self) -> None:
        if not self.receiver.leave(_STOP_WITHIN):
            log.warning("slot not drained in time, its session stays", slot=self.slot, seconds=_STOP_WITHIN)
        self.log.close(_CLOSE_WITHIN)
        self.collector.join(_CLOSE_WITHIN)

    def _fail(self, error: BaseException) -> None:
        self.failed.set()

    def _health(self) -> dict[str, object]:
        return {
            "ready": self.receiver.ready.is_set() and not self.failed.is_set(),
            "slot": self.slot,
            "messages_received": self.receiver.received,
            "messages_in_flight": self.receiver.in_flight,
            "readings_in_flight": self.log.in_flight,
        }

    def _numbers(self) -> Gauges:
        taken, made = self.receiver, self.log
        return {
            "mqtt_messages_received_total": ("messages taken from the broker", lambda: taken.received),
            "mqtt_messages_in_flight": ("messages taken and not acknowledged", lambda: taken.in_flight),
            "mqtt_reconnects_total": ("times a connection to the broker came up again", lambda: taken.reconnects),
            "collect_readings_total": ("readings decoded", lambda: self.collector.readings),
            "collect_dead_letters_total": ("messages and readings refused", lambda: self.collector.dead_letters),
            "collect_readings_in_flight": ("readings not yet on the log", lambda: made.in_flight),
            "collect_records_total": ("records put on the log", lambda: made.records),
            "collect_record_bytes_total": ("bytes of these records", lambda: made.bytes),
            "collect_kafka_seconds_total": ("seconds spent waiting for Kafka", lambda: made.seconds),
            "collect_kafka_retries_total": ("times Kafka was asked again", lambda: made.retries),
            "collect_slot": ("slot of this collector", lambda: self.slot),
        }


def work(settings: Settings) -> None:
    """`stadspuls work`: off Kafka, into the database, until SIGINT or SIGTERM."""
    stop = threading.Event()
    log_of = topics(settings)
    with closing(Store(database(settings), application="stadspuls work")) as store:
        if not make_topics(log_of, stop):
            return
        pipeline = Pipeline(store, stop)
        worker = Worker(
            log_of.servers, log_of.names, settings.kafka_group, pipeline.store, lambda: _positions(store), stop
        )
        health = partial(_worker_health, worker)
        with metrics(settings, _worker_numbers(worker), health):
            worker.run()


def _positions(store: Store) -> dict[tuple[str, int], int]:
    return {(topic, partition): position for topic, partition, position in store.rows("positions")}


def _worker_health(worker: Worker) -> dict[str, object]:
    return {"ready": worker.ready, "lag": worker.progress.lag, "partitions": len(worker.progress.ends)}


def _worker_numbers(worker: Worker) -> Gauges:
    done = worker.progress
    return {
        "work_lag": ("records of this worker's partitions that wait to be stored", lambda: done.lag),
        "work_partitions": ("partitions that this worker has", lambda: len(done.ends)),
        "work_records_total": ("records stored", lambda: done.records),
        "work_readings_total": ("readings in these records", lambda: done.readings),
        "work_store_seconds_total": ("seconds spent storing them", lambda: done.seconds),
        "work_poisoned_total": ("records that could not be understood", lambda: done.poisoned),
        "work_rebalances_total": ("times the partitions were dealt out anew", lambda: done.rebalances),
    }


@contextmanager
def rollup(settings: Settings) -> Iterator[Upkeep]:
    """`stadspuls rollup`: hours, days, retention and the nightly proof, by the one that holds the lock."""
    store = Store(database(settings), application="stadspuls rollup")
    upkeep = LeadingUpkeep(store, settings.rollup_every, settings.grace, settings.retention)
    numbers: Gauges = {
        "rollup_leads": ("1 while this is the one that rolls up", lambda: upkeep.leads),
        "rollup_hours_total": ("hours of series written", lambda: upkeep.rolled),
        "reconcile_differences": (
            "windows that differed at the last nightly proof, -1 before the first",
            lambda: -1 if upkeep.differences is None else upkeep.differences,
        ),
    }
    with metrics(settings, numbers, lambda: {"ready": upkeep.turns > 0, "leads": upkeep.leads}):
        upkeep.start()
        try:
            yield upkeep
        finally:
            upkeep.stop(_CLOSE_WITHIN)


class LeadingUpkeep(Upkeep):
    """Upkeep by one of several: who has the lock works, the others look again at every turn."""

    leads = False
    turns = 0

    def turn(self, now: datetime) -> None:
        """Do what is due, where this session has or gets the lock; it is gone with the session."""
        self.leads = False
        ((leads,),) = self._store.rows("lead")
        self.leads = bool(leads)
        self.turns += 1
        if self.leads:
            super().turn(now)


@contextmanager
def serve(settings: Settings) -> Iterator[HttpServer]:
    """`stadspuls serve`: the HTTP side over the database."""
    conninfo = database(settings)
    collector = HubCollector(lambda: Store(conninfo, application="stadspuls metrics"), {})
    app = application(collector, lambda: {"ready": _answers(conninfo)})
    server = HttpServer(app, settings.http_host, settings.http_port)
    server.start()
    try:
        yield server
    finally:
        server.stop(2.0)


def _answers(conninfo: str) -> bool:
    with closing(Store(conninfo, application="stadspuls ready")) as store:
        try:
            return bool(store.rows("catalogue_version"))
        except StoreError:
            return False
