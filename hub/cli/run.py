"""
Running a hub: `up` as one program; `migrate`, `collect`, `work`, `rollup` and `serve` as a distributed one; `gateway`
by itself, which polls open sources. `hub.run` has what runs.
"""

import threading
from contextlib import ExitStack, closing
from datetime import datetime, timedelta
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer

from aggregates.ask.dates import BadQuestion
from aggregates.store.errors import Away
from aggregates.store.store import Store, without_password
from hub.cli.common import IMPOSSIBLE, broker_of, command, end, municipality_code, running_hub, stop_signals
from hub.cli.output import errors
from hub.run import distributed
from hub.run.parts import migrated
from hub.settings.settings import Settings
from ingest.formats.registry import load_formats
from ingest.vocabulary.values import raised_as

if TYPE_CHECKING:
    from ingest.gateways.turn import Region


@command(
    "up", "mqtt_host", "mqtt_port", "http_host", "http_port", "api_token", "public", "broker", "database",
    "sql_port", "retention", "versions_kept", service=True,
)  # fmt: skip
def up(settings: Settings, demo: bool = False, city: str | None = None, wait_for_database: bool = False) -> None:
    """Run the whole hub as one program: broker, database, collector, pipeline, roll-ups."""
    from hub.run.embedded import EmbeddedHub

    code = municipality_code("city", city) if city else None
    stop = stop_signals()
    if wait_for_database and settings.database:
        _wait_for(settings.database, stop)
    with EmbeddedHub(settings) as hub, ExitStack() as parts:
        where = without_password(settings.database) if settings.database else settings.data_dir
        errors.print(f"ready  mqtt {hub.broker}  http {hub.http}  database {hub.edition} at {where}")
        if settings.sql_port and not settings.database:
            errors.print(f"sql    postgresql://stadspuls_reader@127.0.0.1:{settings.sql_port}/postgres  reads only")
        now = datetime.now(ZoneInfo(settings.timezone))
        span = f"--from {now - timedelta(hours=3):%Y-%m-%dT%H:00} --to {now:%Y-%m-%dT%H:59}"
        errors.print(f"try    stadspuls query --quantity vehicle_count --window 1h {span}")
        errors.print("Ctrl-C stops it; the other commands find it by its data directory")
        if demo or code is not None:
            from hub.run.gateways import OpenCity

            simulated = import_module("lab.demo.demo").Demo  # the hub uses nothing of the laboratory
            make_demo = partial(simulated, settings.data_dir, hub.broker, hub.database, settings.timezone)
            if demo:
                parts.enter_context(make_demo(areas=True))
            if code is not None:
                parts.enter_context(OpenCity(settings, hub, code, errors.print, make_demo))
        while not stop.wait(0.5):
            if hub.failed.is_set():
                end(IMPOSSIBLE, "error: the pipeline failed, see the log; nothing unacknowledged is lost")
        errors.print("stopping")


def _wait_for(database: str, stop: threading.Event) -> None:
    """Return when a database answers, or at the signal to stop; say why it does not."""
    said = ""
    with closing(Store(database, application="stadspuls up")) as store:
        while not stop.is_set():
            try:
                store.rows("read_edition")
                return
            except Away as error:
                if said != (said := str(error)):
                    errors.print(f"waiting for the database: {error}")
                stop.wait(1.0)
    raise typer.Exit


@command("migrate")
def migrate(settings: Settings, store: Store) -> None:
    """Bring the schema of a database up to date."""
    errors.print(f"schema is up to date, edition {migrated(store, settings)}")


@command("collect", "kafka", "broker", "slots_dir", "metrics_port", service=True)
def collect(
    settings: Settings,
    drain: Annotated[int | None, typer.Option("--drain", help="empty this slot, left by a collector, and end")] = None,
) -> None:
    """Take messages off the broker and put them on Kafka; any number of these share the work."""
    stop = stop_signals()
    with distributed.Collect(settings, drain) as collecting:
        while not (stop.is_set() or collecting.broken or collecting.wait_ready(0.2)):
            pass
        errors.print(f"ready  collector in slot {collecting.slot.number}")
        while drain is None and not collecting.broken and not stop.wait(0.5):
            pass
        errors.print("stopping")
    if collecting.broken:
        end(IMPOSSIBLE, "error: the collector failed, see the log; nothing unacknowledged is lost")
    if drain is not None and not collecting.emptied:
        end(IMPOSSIBLE, "error: not drained: another collector must take what comes meanwhile, and Kafka must answer")


@command("work", "kafka", "database", "metrics_port", service=True)
def work(settings: Settings) -> None:
    """Take batches off Kafka and store them; any number of these share the work, up to the number of partitions."""
    distributed.work(settings)


@command("rollup", "database", "retention", "versions_kept", "metrics_port", service=True)
def rollup(settings: Settings) -> None:
    """Make hours and days, drop what is too old, reconcile every night; of several one works and the others wait."""
    stop = stop_signals()
    with distributed.rollup(settings):
        errors.print("ready  roll-up")
        stop.wait()


@command("serve", "database", "http_host", "http_port", "api_token", "public", service=True)
def serve(settings: Settings) -> None:
    """Serve the HTTP side of a hub whose database is elsewhere."""
    stop = stop_signals()
    with distributed.serve(settings) as address:
        errors.print(f"ready  http {address}")
        stop.wait()


@command("gateway", "broker", "database", "metrics_port", service=True)
def gateway(
    settings: Settings,
    names: list[str], /, url: str | None = None, condition: str | None = None, city: str | None = None,
    bbox: str | None = None, once: bool = False,
) -> None:  # fmt: skip
    """Poll open sources and publish their measurements over MQTT; what was published is kept in the data directory."""
    from hub.run.gateways import GatewayCollector, hosts, plan
    from hub.web.http import metrics_served
    from ingest.gateways.schedule import Gateways, jobs

    if (url or condition) and len(names) > 1:
        raise BadQuestion("--url and --filter are for one gateway, expected one name")
    with raised_as(BadQuestion, ValueError):
        load_formats(settings.mappings)
        chosen = jobs(names, hosts(settings) | ({names[0]: url} if url else {}), condition or "")
    area = _area(settings, city, bbox)
    address = broker_of(settings)
    stop = stop_signals()
    gateways = Gateways(plan(settings, chosen, address, area))

    def health() -> dict[str, object]:
        failing = [f"{one.job}: {one.failures} turns failed" for one in gateways.counts if one.failures]
        away = [f"broker: {address} does not answer"] * any(not one.sender.is_up for one in gateways.runners)
        return {"ready": not away, "trouble": away + failing, "gateways": names}

    with gateways, metrics_served(settings, GatewayCollector(lambda: gateways.counts), health):
        if once:
            failed = gateways.once()
            for one in gateways.counts:
                errors.print(f"{one.job}: {one.events['messages', '']} messages published")
            if failed:
                end(IMPOSSIBLE, f"error: {', '.join(failed)} could not be read, see the log")
            return
        gateways.start()
        place = area.name if area else "the whole country"
        errors.print(f"ready  gateways {', '.join(names)} for {place} to {address}")
        stop.wait()
        errors.print("stopping")


def _area(settings: Settings, city: str | None, bbox: str | None) -> "Region | None":
    """Give the area that is asked for, None for the whole country; raises BadQuestion, and as `municipality` does."""
    from hub.run.gateways import municipality
    from ingest.gateways.turn import Region

    if city and bbox:
        raise BadQuestion("--city and --bbox, expected one of them")
    if city:
        code = municipality_code("city", city)
        running = running_hub(settings)
        return municipality(settings, settings.database or (running.database if running else None), code)
    try:
        return Region.box(bbox) if bbox else None
    except ValueError as error:
        raise BadQuestion(f"--bbox {error}") from error
