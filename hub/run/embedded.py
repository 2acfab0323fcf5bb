"""
The embedded hub: broker, database, collector, pipeline, roll-ups and HTTP as one program with one data directory.

    broker ──▶ receiver ──▶ collector ──▶ embedded log ──▶ pipeline ──▶ database ◀── upkeep
                   ◀─────── acknowledged once committed ──────┘

`stadspuls up` runs it. Its own servers, as far as the settings name no others, are processes that outlive a killed hub;
a clean stop ends them too, but for a broker that still holds messages: the next start takes it over with its queue.
"""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from importlib import import_module
from typing import Self

import structlog
from prometheus_client.registry import Collector as MetricsCollector

from aggregates.store.migrate import Edition
from aggregates.store.store import Store, without_password
from hub.run.distributed import intake, updates
from hub.run.notifying import notifier_of
from hub.run.parts import END_WITHIN, Turns, migrated
from hub.servers.broker import BuiltInBroker
from hub.servers.postgres import EmbeddedPostgres
from hub.servers.process import CannotStart, DataDirectory, Server, raise_file_limit
from hub.settings.settings import Settings
from hub.settings.values import url_host
from hub.web.metrics import ServiceCollector, numbers
from ingest.formats.parts import UNREAD
from ingest.formats.registry import load_formats
from ingest.log.queue import QueuedLog
from ingest.mqtt.address import Address
from ingest.mqtt.receiver import ENDING
from ingest.mqtt.slots import client_id
from ingest.vocabulary.sources import UPDATES
from streams.commit.pipeline import Pipeline, Stopped

_SUBSCRIBED_WITHIN = 30.0  # s
_DRAIN_WITHIN = 8.0  # s that a stop waits for what the broker holds
_SERVERS_EVERY = 3.0  # s between two looks at a server

log = structlog.get_logger(__name__)


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
        self._undo = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            raise_file_limit()
            settings = self._settings
            directory = undo.enter_context(DataDirectory(settings.data_dir))
            # An older hub's session keeps its name, and with it what the broker holds for it.
            self._client_id = client_id(directory.path, known="" if directory.is_new else "stadspuls")
            self._make_servers()
            # Before anything is started: channels that cannot work are refused at once.
            link = f"http://{url_host(settings.http_host)}:{settings.http_port}"
            self.notifier = notifier_of(settings, self.database, link)
            self._start_servers(undo)
            from hub.run.upkeep import Upkeep, judge_of

            with closing(Store(self.database, application="stadspuls migrate")) as store:
                self.edition = migrated(store, settings)
                if settings.sql_password and not settings.database:
                    with store.transaction() as tx:
                        tx.rows("say_password", password=settings.sql_password.get_secret_value())
                        tx.rows("let_reader_in")
            self.judge = judge_of(settings, self.database)
            self._start_line(undo)
            self.supervisors = [Turns(server.name, _SERVERS_EVERY, server.keep) for server in self._servers]
            for supervisor, server in zip(self.supervisors, self._servers, strict=True):
                undo.enter_context(supervisor)
                undo.callback(setattr, server, "closed", True)  # a recovery may take longer than a stop
            store = Store(self.database, application="stadspuls upkeep")
            self.upkeep = undo.enter_context(Upkeep(store, settings, self.judge, queued=lambda: self.log.queued))
            self.collectors.append(self.upkeep.took)
            undo.callback(self.notifier.stop, END_WITHIN)
            self.notifier.start()
            self.supervisors += updates(undo, settings, self.database, self.broker, f"{self._client_id}{ENDING}-sta")
            self._start_http(undo)
            directory.announce(str(self.broker), without_password(self.database), self.http)
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    def _make_servers(self) -> None:
        """Make the servers that the settings do not name, and note where `database` and `broker` are."""
        settings = self._settings
        postgres = None if settings.database else EmbeddedPostgres(settings.data_dir, settings.sql_port)
        self._built_in = None if settings.broker else BuiltInBroker(
            settings.data_dir, settings.mqtt_host, settings.mqtt_port, settings.broker_queue, settings.credentials,
            self._client_id + ENDING, UPDATES if settings.sta_updates else "",
        )  # fmt: skip
        self._drained = True  # whether that broker holds nothing for the hub
        self._servers: list[Server] = [server for server in (postgres, self._built_in) if server]
        self.database = postgres.conninfo if postgres else settings.database or ""
        named = self._built_in.address if self._built_in else Address.parse(settings.broker or "")
        self.broker = named.with_credentials(settings.credentials)

    def _start_servers(self, undo: ExitStack) -> None:
        """Start all of them at once, and load meanwhile what takes long: pandas, FastAPI, the payload formats."""
        for server in self._servers:
            undo.callback(self._end_server, server)
        with ThreadPoolExecutor() as pool:
            started = pool.map(self._start_server, self._servers)
            for module in ("hub.run.upkeep", "hub.web.api.app", "hub.web.live.mount"):
                import_module(module)
            load_formats(self._settings.mappings)
            list(started)  # raises what they raised

    def _start_server(self, server: Server) -> None:
        adopted = server.start()
        log.info("server found running" if adopted else "server started", server=server.name)
        if server is self._built_in:
            self._drained = not adopted  # one that was found may hold messages

    def _end_server(self, server: Server) -> None:
        """End a server, but for a broker that holds messages: it goes on until the next start."""
        if isinstance(server, BuiltInBroker) and not self._drained:
            text = "broker goes on with messages that are not stored, the next start takes them"
            log.warning(text, broker=str(self.broker), at_most=server.held)
        else:
            server.stop()

    def _start_line(self, undo: ExitStack) -> None:
        """Start the path of a message, from its end to its beginning; it is stopped in the other order."""
        settings = self._settings
        store = Store(self.database, application="stadspuls pipeline")
        self.pipeline = Pipeline(store, self._stop, self.judge.batch, settings.new_sensors)
        self.log = QueuedLog(self.pipeline.store, together=settings.batch_readings * 2)
        self.receiver, self.collector = intake(undo, settings, self.broker, self._client_id, self.log.put, self._fail)
        undo.callback(self._stop_line, store)
        self.collector.start()
        self.receiver.start()
        if not self.receiver.ready.wait(_SUBSCRIBED_WITHIN):
            raise CannotStart(f"broker {self.broker} did not take the subscription within {_SUBSCRIBED_WITHIN:.0f} s")

    def _stop_line(self, store: Store) -> None:
        seconds = END_WITHIN
        if self._built_in is not None:
            stuck = self.failed.is_set() or bool(self.pipeline.trouble)
            self._drained = not stuck and self.receiver.wait_idle(_DRAIN_WITHIN)
            seconds = END_WITHIN if self._drained or stuck else 1.0
            if self._drained:
                self.receiver.ending = True
                self._built_in.stop()  # while the line still runs: it takes what comes last
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
        from hub.web.http import application, listening

        settings = self._settings
        gauges = numbers("embedded", self) | numbers("notifier", self.notifier) | numbers("upkeep", self.upkeep)
        collector = ServiceCollector(gauges, self.collectors, self.database)
        app = application(collector, self.health, settings, self.database)
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
            "ready": not trouble, "trouble": list(dict.fromkeys(trouble)),
            "messages_received": self.receiver.received, "messages_in_flight": self.receiver.in_flight,
            "readings_in_flight": self.log.in_flight, "broker_queue": self._settings.broker_queue,
            "broker_held": self.held, "unread": {source: count for (source,), count in dict(UNREAD).items() if count},
        }  # fmt: skip

    @property
    def held(self) -> int:
        """How many messages the built-in broker holds for the hub, at most."""
        return self._built_in.held if self._built_in else 0
