"""
The services of the distributed hub, each a process of its own; `hub.run.collect` has the one at the broker.

    broker ──▶ collect ──▶ Kafka ──▶ work ──▶ database ◀── rollup
                                                 ▲──────── serve

Between broker and log, and between log and database, this is the code of the embedded hub (`hub.run.embedded`);
`hub.cli.run` runs it by command line.
"""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial

import structlog

from aggregates.store.health import positions
from aggregates.store.store import Store, StoreError
from hub.run.kafka_log import topics
from hub.run.parts import needed
from hub.run.upkeep import Upkeep, judge_of
from hub.settings.settings import Settings
from hub.web.http import application, listening, metrics_served
from hub.web.live.mount import mount
from hub.web.metrics import Gauges, ServiceCollector, histogram
from ingest.log.topics import make_topics
from ingest.vocabulary.batch import Batch
from streams.commit.pipeline import Pipeline, Position
from streams.worker.worker import Worker

DATABASE = "postgresql://..."  # as an example

log = structlog.get_logger(__name__)


def work(settings: Settings) -> None:
    """`stadspuls work`: off Kafka, into the database, until SIGINT or SIGTERM."""
    stop = threading.Event()
    log_of, conninfo = topics(settings), needed(settings, "database", DATABASE)
    with closing(Store(conninfo, application="stadspuls work")) as store:
        if not make_topics(log_of, stop):
            return
        pipeline = Pipeline(store, stop, judge_of(settings).batch, settings.new_sensors)
        seconds = histogram("work_batch_seconds", "seconds until a batch was stored, retries included", 0.01)
        readings = histogram("work_batch_readings", "readings in a batch", 1)

        def store_measured(batch: Batch, position: Position) -> None:
            readings.observe(len(batch))
            with seconds.time():
                pipeline.store(batch, position)

        def health() -> dict[str, object]:
            trouble, done = list(pipeline.trouble), worker.metrics
            ready = worker.ready and not trouble
            return {"ready": ready, "trouble": trouble, "lag": done.lag, "partitions": len(done.ends)}

        worker = Worker(log_of, settings.kafka_group, store_measured, lambda: positions(store), stop)
        collector = ServiceCollector(_worker_numbers(worker, pipeline), [seconds, readings])
        with metrics_served(settings, collector, health):
            worker.run()


def _worker_numbers(worker: Worker, pipeline: Pipeline) -> Gauges:
    done = worker.metrics
    return {
        "work_lag": ("records of this worker's partitions that wait to be stored", lambda: done.lag),
        "work_partitions": ("partitions that this worker has", lambda: len(done.ends)),
        "work_records_total": ("records stored", lambda: done.records),
        "work_transactions_total": ("transactions they were stored in", lambda: done.transactions),
        "work_readings_total": ("readings in these records", lambda: done.readings),
        "work_retries_total": ("times the database was asked again", lambda: pipeline.retries),
        "work_poisoned_total": ("records that could not be understood", lambda: done.poisoned),
        "work_rebalances_total": ("times the partitions were assigned anew", lambda: done.rebalances),
    }


@contextmanager
def rollup(settings: Settings) -> Iterator[Upkeep]:
    """`stadspuls rollup`: hours, days, retention, the nightly proof and notifications, by who holds the locks."""
    from hub.run.notifying import notifier_of

    conninfo = needed(settings, "database", DATABASE)
    notifier = notifier_of(settings, conninfo)
    store = Store(conninfo, application="stadspuls rollup")
    upkeep = Upkeep(store, settings.rollup_every, settings.grace, settings.retention,
                    judge=judge_of(settings, conninfo), zone=settings.timezone, shared=True)  # fmt: skip
    numbers: Gauges = {
        **notifier.numbers(),
        **upkeep.numbers(),
        "rollup_leads": ("1 while this is the one that rolls up", lambda: upkeep.leads),
        "rollup_hours_total": ("hours of series written", lambda: upkeep.rolled),
    }

    def health() -> dict[str, object]:
        trouble = upkeep.trouble + notifier.trouble
        return {
            "ready": upkeep.turns > 0 and notifier.turns > 0 and not trouble,
            "trouble": trouble,
            "leads": upkeep.leads,
            "notifies": notifier.leads,
            "alerts_leave": notifier.healthy,
        }

    with metrics_served(settings, ServiceCollector(numbers, [upkeep.took]), health), upkeep, notifier:
        yield upkeep


@contextmanager
def serve(settings: Settings) -> Iterator[str]:
    """`stadspuls serve`: the HTTP side over the database."""
    conninfo = needed(settings, "database", DATABASE)
    app = application(ServiceCollector({}, database=conninfo), partial(_database_health, conninfo), settings, conninfo)
    mount(app, settings, dict, conninfo)
    with listening(app, settings.http_host, settings.http_port) as address:
        yield address


def _database_health(conninfo: str) -> dict[str, object]:
    with closing(Store(conninfo, application="stadspuls ready")) as store:
        try:
            return {"ready": bool(store.rows("read_catalogue_version")), "trouble": []}
        except StoreError as error:
            return {"ready": False, "trouble": [f"the database: {error}"]}
