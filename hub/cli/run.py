"""
Running the hub and feeding it: `up`, `publish`, `migrate`.
"""

from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from aggregates.store.migrate import migrate as migrate_store
from hub.cli.common import (
    IMPOSSIBLE,
    ApiToken,
    Broker,
    Database,
    Directory,
    HttpHost,
    HttpPort,
    Public,
    Retention,
    app,
    broker_of,
    flag,
    municipality_code,
    open_store,
    progress_bar,
    running_hub,
    settings_of,
    stop_signals,
)
from hub.cli.output import errors
from hub.cli.publish import Backlog, recorded
from hub.cli.publish import publish as publish_messages
from hub.demo.demo import Demo
from hub.run.embedded import EmbeddedHub
from hub.run.open_data import OpenCity
from hub.run.parts import running
from ingest.formats.registry import load_formats
from ingest.mqtt.sender import Sender


@app.command()
def up(
    demo: Annotated[bool, flag("demo", "add a simulated city with two days of history")] = False,
    city: Annotated[str | None, flag("city", "show this municipality, as GM0014, from open data")] = None,
    data_dir: Directory = None,
    mqtt_host: Annotated[str | None, flag("mqtt-host", "address the built-in broker listens on")] = None,
    mqtt_port: Annotated[int | None, flag("mqtt-port", "port of the built-in broker")] = None,
    http_host: HttpHost = None,
    http_port: HttpPort = None,
    api_token: ApiToken = None,
    public: Public = None,
    broker: Broker = None,
    database: Database = None,
    retention: Retention = None,
) -> None:
    """
    Run the whole hub as one program: broker, database, collector, pipeline, roll-ups.

    Example: stadspuls up --city GM0014
    """
    code = municipality_code("city", city) if city else None
    settings = settings_of(
        service=True, data_dir=data_dir, mqtt_host=mqtt_host, mqtt_port=mqtt_port, http_host=http_host,
        http_port=http_port, api_token=api_token, public=public, broker=broker, database=database, retention=retention,
    )  # fmt: skip
    stop = stop_signals()
    with EmbeddedHub(settings) as hub:
        errors.print(f"ready  mqtt {hub.broker}  http {hub.http.url}  database {hub.edition} at {settings.data_dir}")
        errors.print(
            "try    stadspuls query --quantity vehicle_count --window 1h --from "
            f"{datetime.now(UTC) - timedelta(hours=3):%Y-%m-%dT%H:00} --to {datetime.now(UTC):%Y-%m-%dT%H:59}"
        )
        errors.print("Ctrl-C stops it; the other commands find it by its data directory")
        with ExitStack() as parts:
            if demo:
                parts.enter_context(running(Demo(settings.data_dir, hub.broker, hub.database, settings.timezone)))
            if code is not None:
                parts.enter_context(running(OpenCity(settings, hub, code, partial(errors.print, markup=False))))
            while not stop.wait(0.5):
                hub.supervise()
                if hub.failed.is_set():
                    errors.print("error: the pipeline failed, see the log; nothing unacknowledged is lost")
                    raise typer.Exit(IMPOSSIBLE)
        errors.print("stopping")


@app.command()
def publish(
    files: Annotated[list[Path], typer.Argument(help="recorded files, plain or .gz")],
    source: Annotated[str, flag("source", "who supplied them: ndw, luchtmeetnet, telraam, stadspuls, ...")],
    speed: Annotated[float | None, flag("speed", "times real time (default: at once)", min=0.001)] = None,
    status: Annotated[str | None, flag("status", "call every reading provisional or validated")] = None,
    version: Annotated[str | None, flag("version", "publication stamp of every reading, ISO 8601")] = None,
    broker: Broker = None,
    data_dir: Directory = None,
) -> None:
    """
    Send recorded files as MQTT messages; returns when the broker has all of them.

    Example: stadspuls publish 2024_06_NO2.csv.gz --source luchtmeetnet
    """
    settings = settings_of(data_dir=data_dir, broker=broker)
    load_formats(settings.mappings)
    running = running_hub(settings)
    backlog = Backlog(running.http) if running and not settings.broker else None
    with Sender(broker_of(settings)) as sender, progress_bar() as progress:
        task = progress.add_task("messages", total=None)
        found = recorded(files, source, status, version, in_time=speed is not None)
        count = publish_messages(sender, found, speed, backlog, lambda: progress.advance(task))
    errors.print(f"{count} messages published")


@app.command()
def migrate(database: Database = None, data_dir: Directory = None) -> None:
    """
    Bring the schema of a database up to date.

    Example: stadspuls migrate --database postgresql://owner@db/stadspuls
    """
    settings = settings_of(data_dir=data_dir, database=database)
    with open_store(settings) as store:
        edition = migrate_store(store, settings.timezone, settings.chunk_interval)
    errors.print(f"schema is up to date, edition {edition}")
