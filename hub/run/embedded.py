"""
The embedded hub: broker, database, collector, pipeline, roll-ups and HTTP as one program with one data directory.

    broker ──▶ receiver ──▶ collector ──▶ embedded log ──▶ pipeline ──▶ database ◀── upkeep
                   ◀─────── acknowledged once committed ──────┘

`stadspuls up` runs it. Broker and database are processes that outlive a killed hub; a clean stop ends them too, but for
a broker that still holds messages: the next start takes it over with its queue.
"""

import threading
from contextlib import ExitStack, closing, suppress
from datetime import UTC, datetime
from functools import partial
from typing import Self

import structlog
from prometheus_client.registry import Collector as MetricsCollector

from aggregates.store.migrate import Edition, migrate
from aggregates.store.store import Away, Store, StoreError, without_password
from hub.run.parts import END_WITHIN, Background, Turns
from hub.run.upkeep import Upkeep, judge_of
from hub.servers.broker import BuiltInBroker
from hub.servers.datadir import DataDirectory
from hub.servers.postgres import EmbeddedPostgres
from hub.servers.process import CannotStart, Server, raise_file_limit
from hub.settings.settings import Settings
from hub.web.http import application, listening
from hub.web.live.mount import mount
from hub.web.metrics import Gauges, ServiceCollector
from ingest.collector import Collector
from ingest.files.site_table import SITES_FILE, SiteTable
from ingest.formats.registry import load_formats
from ingest.log.queue import QueuedLog
from ingest.mqtt.address import Address
from ingest.mqtt.client import LOOK_EVERY, clear_retained
from ingest.mqtt.receiver import Receiver
from ingest.mqtt.slots import client_id
from ingest.vocabulary.sources import subscriptions
from streams.commit.pipeline import Pipeline, Stopped
from streams.rollup.rollup import roll_up

_LOOK_EVERY = 0.5  # s between two looks at a server
_SUBSCRIBED_WITHIN = 30.0  # s
_DRAIN_WITHIN = 8.0  # s that a stop waits for what the broker holds

log = structlog.get_logger(__name__)


class Supervisor(Background):
    """Looks after one of the hub's own servers: where it died or hangs it is started again, for as long as it takes."""

    def __init__(self, server: Server) -> None:
        super().__init__(server.name)
        self._server = server

    def stop(self, seconds: float) -> None:
        """End, and let the server not be started any more: a recovery may take longer than a stop."""
        self._server.closed = True
        super().stop(seconds)

    def run(self) -> None:
        """Look at it, again and again."""
        while not self.wait(_LOOK_EVERY):
            self.step(self.name, self._server.keep)


class EmbeddedHub:
    """
    A hub that runs while its `with` block does; entering waits until it is ready.

    Raises CannotStart with the reason. `failed` is set when the pipeline met a bug: nothing is acknowledged any more,
    and the hub should be stopped.
    """

    edition: Edition
    database: str
    broker: Address
    http: str

    def __init__(self, settings: Settings) -> None:
        self.failed = threading.Event()
        self._settings = settings
        self._stop = threading.Event()
        self.collectors: list[MetricsCollector] = []  # what else there is for /metrics
        self._servers: list[Server] = []
        self._drained = True  # whether the built-in broker holds nothing
        self._undo = ExitStack()

    def __enter__(self) -> Self:
        from hub.run.notifying import notifier_of  # brings Apprise along

        with ExitStack() as undo:
            raise_file_limit()
            settings = self._settings
            directory = undo.enter_context(DataDirectory(settings.data_dir))
            # An older hub's session keeps its name, and with it what the broker holds for it.
            self._client_id = client_id(directory.path, known="" if directory.is_new else "stadspuls")
            self._choose_servers()
            # Before anything is started: channels that cannot work are refused at once.
            self.notifier = notifier_of(settings, self.database, f"http://{settings.http_host}:{settings.http_port}")
            for server in self._servers:
                undo.callback(self._end, server)
                self._start(server)
            self.edition = self._migrate()
            load_formats(settings.mappings)
            self.judge = judge_of(settings, self.database)
            self._start_line(undo)
            self.supervisors = [undo.enter_context(Supervisor(server)) for server in self._servers]
            self.upkeep = undo.enter_context(Upkeep(
                Store(self.database, application="stadspuls upkeep"), settings.rollup_every, settings.grace,
                settings.retention, judge=self.judge, zone=settings.timezone, queued=lambda: self.log.queued,
            ))  # fmt: skip
            self.collectors.append(self.upkeep.took)
            undo.enter_context(self.notifier)
            self._start_http(undo)
            directory.announce(str(self.broker), without_password(self.database), self.http)
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    def _choose_servers(self) -> None:
        """Choose database and broker: those that the settings name, else our own."""
        settings = self._settings
        self.database = settings.database or ""
        if not settings.database:
            database = EmbeddedPostgres(settings.data_dir)
            self._servers.append(database)
            self.database = database.conninfo
        if settings.broker:
            self.broker = Address.parse(settings.broker).with_credentials(settings.credentials)
        else:
            broker = BuiltInBroker(
                settings.data_dir, settings.mqtt_host, settings.mqtt_port, settings.broker_queue, settings.credentials
            )
            self._servers.append(broker)
            self.broker = broker.address

    def _start(self, server: Server) -> None:
        adopted = server.start()
        log.info("server found running" if adopted else "server started", server=server.name)
        if isinstance(server, BuiltInBroker):
            self._drained = not adopted  # one that was found may hold messages

    def _end(self, server: Server) -> None:
        """End a server, but for a broker that holds messages: it goes on until the next start."""
        if isinstance(server, BuiltInBroker) and not self._drained:
            log.warning(
                "broker goes on with messages that are not stored, the next start takes them", broker=str(self.broker)
            )
        else:
            server.stop()

    def _migrate(self) -> Edition:
        with closing(Store(self.database, application="stadspuls migrate")) as store:
            try:
                edition = migrate(store, self._settings.timezone, self._settings.chunk_interval)
                # Before a backlog comes: hours that are not closed are summed anew for each question.
                with suppress(StoreError):
                    roll_up(store, datetime.now(UTC), self._settings.grace, most=0)
                return edition
            except Away as error:
                raise CannotStart(f"database {error}") from error

    def _start_line(self, undo: ExitStack) -> None:
        """Start the path of a message, from its end to its beginning; it is stopped in the other order."""
        settings = self._settings
        store = Store(self.database, application="stadspuls pipeline")
        self.pipeline = Pipeline(store, self._stop, self.judge.batch, settings.new_sensors)
        self.log = QueuedLog(self.pipeline.store, together=settings.batch_readings * 2)
        self.receiver = Receiver(
            self.broker, subscriptions(), self._client_id,
            in_flight_messages=settings.in_flight_messages, in_flight_bytes=settings.in_flight_bytes,
        )  # fmt: skip
        sites = SiteTable(settings.data_dir / SITES_FILE)
        taken = self.receiver
        self.collector = Collector(
            taken.rounds, taken.acknowledge, self.log.put, sites.current, settings.earliest, self._fail
        )
        undo.callback(self._stop_line, store)
        self.collector.start()
        self.receiver.start()
        if settings.broker:
            look = partial(clear_retained, self.broker, settings.retained_bytes)
            undo.enter_context(Turns("retained messages", LOOK_EVERY, look))
        if not self.receiver.ready.wait(_SUBSCRIBED_WITHIN):
            raise CannotStart(f"broker {self.broker} did not take the subscription within {_SUBSCRIBED_WITHIN:.0f} s")

    def _stop_line(self, store: Store) -> None:
        seconds = END_WITHIN
        for broker in (one for one in self._servers if isinstance(one, BuiltInBroker)):
            stuck = self.failed.is_set() or bool(self.pipeline.trouble)
            self._drained = not stuck and self.receiver.wait_idle(_DRAIN_WITHIN)
            seconds = END_WITHIN if self._drained or stuck else 1.0
            if self._drained:
                self.receiver.ending = True
                broker.stop()  # while the line still runs: it takes what comes last
        if not self.receiver.stop(seconds):
            log.warning("not everything was stored in time, the broker delivers it again", seconds=seconds)
        self._stop.set()
        self.log.close(END_WITHIN)
        self.collector.join(END_WITHIN)
        store.close()

    def _fail(self, error: BaseException) -> None:
        if not isinstance(error, Stopped) and not self._stop.is_set():
            self.failed.set()

    def _start_http(self, undo: ExitStack) -> None:
        settings = self._settings
        collector = ServiceCollector(self._gauges(), self.collectors, self.database)
        app = application(collector, self.health, settings, self.database)
        mount(app, settings, self.health, self.database)
        self.http = undo.enter_context(listening(app, settings.http_host, settings.http_port))

    def health(self) -> dict[str, object]:
        """Give whether messages are taken and stored, what is wrong, and how many are on their way."""
        servers = [said for supervisor in self.supervisors for said in supervisor.trouble]
        trouble = [*self.pipeline.trouble, *servers, *self.upkeep.trouble, *self.notifier.trouble]
        if not self.receiver.is_up:
            trouble.append(f"broker: {self.broker} does not answer")
        if self.log.failed is not None:
            trouble.append(f"pipeline: {type(self.log.failed).__name__}: {self.log.failed}")
        return {
            "ready": not trouble,
            "trouble": list(dict.fromkeys(trouble)),
            "messages_received": self.receiver.received,
            "messages_in_flight": self.receiver.in_flight,
            "readings_in_flight": self.log.in_flight,
            "broker_queue": self._settings.broker_queue,
        }

    def _gauges(self) -> Gauges:
        taken = self.receiver
        return {
            "mqtt_messages_received": ("messages taken from the broker by this process", lambda: taken.received),
            "mqtt_messages_in_flight": ("messages taken and not acknowledged", lambda: taken.in_flight),
            "mqtt_reconnects": ("times a connection to the broker came up again", lambda: taken.reconnects),
            "readings_in_flight": ("readings on their way into the database", lambda: self.log.in_flight),
            **self.notifier.numbers(),
            **self.upkeep.numbers(),
        }
