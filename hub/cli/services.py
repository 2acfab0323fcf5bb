"""
The services of the distributed hub on the command line: collect, work, rollup and serve.

`hub.cli.main` has the other commands and loads this module for its effect; `hub.run.distributed` and
`hub.run.collect` are what they run, loaded by the command that needs them: Kafka's client and Faust would make every
other one slow to start.
"""

from typing import Annotated

import typer

from hub.cli.common import (
    IMPOSSIBLE,
    ApiToken,
    Broker,
    Database,
    Directory,
    HttpHost,
    HttpPort,
    MetricsPort,
    Public,
    Retention,
    app,
    flag,
    settings_of,
    stop_signals,
)
from hub.cli.output import errors

Kafka = Annotated[str | None, flag("kafka", "Kafka servers, host:port[,host:port]")]
SlotsDir = Annotated[str | None, flag("slots-dir", "directory that all collectors share")]


@app.command("collect")
def collect_command(
    drain: Annotated[int | None, typer.Option("--drain", help="empty this slot, left by a collector, and end")] = None,
    kafka: Kafka = None,
    broker: Broker = None,
    slots_dir: SlotsDir = None,
    metrics_port: MetricsPort = None,
    data_dir: Directory = None,
) -> None:
    """
    Take messages off the broker and put them on Kafka; any number of these share the work.

    Example: stadspuls collect --broker mqtt://mosquitto --kafka kafka:9092
    """
    from hub.run.collect import Collect

    settings = settings_of(
        service=True, kafka=kafka, broker=broker, slots_dir=slots_dir, metrics_port=metrics_port, data_dir=data_dir
    )
    stop = stop_signals()
    with Collect(settings, drain) as collecting:
        while not (stop.is_set() or collecting.broken or collecting.wait_ready(0.2)):
            pass
        errors.print(f"ready  collector in slot {collecting.slot}")
        while drain is None and not collecting.broken and not stop.wait(0.5):
            pass
        errors.print("stopping")
    if collecting.broken:
        errors.print("error: the collector failed, see the log; nothing unacknowledged is lost")
        raise typer.Exit(IMPOSSIBLE)
    if drain is not None and not collecting.emptied:
        errors.print(
            "error: not drained: another collector must run to take what comes meanwhile, and Kafka must answer"
        )
        raise typer.Exit(IMPOSSIBLE)


@app.command("work")
def work_command(
    kafka: Kafka = None, database: Database = None, metrics_port: MetricsPort = None, data_dir: Directory = None
) -> None:
    """
    Take batches off Kafka and store them; any number of these share the work, up to the number of partitions.

    Example: stadspuls work --kafka kafka:9092 --database postgresql://writer@db/stadspuls
    """
    from hub.run.distributed import work
    from streams.worker.worker import WorkerEnded

    try:
        work(settings_of(service=True, kafka=kafka, database=database, metrics_port=metrics_port, data_dir=data_dir))
    except WorkerEnded as error:
        errors.print(f"error: the worker ended, start it again: {error}", markup=False)
        raise typer.Exit(IMPOSSIBLE) from error


@app.command("rollup")
def rollup_command(
    database: Database = None,
    retention: Retention = None,
    metrics_port: MetricsPort = None,
    data_dir: Directory = None,
) -> None:
    """
    Make hours and days, drop what is too old, prove every night; of several one works and the others wait.

    Example: stadspuls rollup --database postgresql://writer@db/stadspuls
    """
    from hub.run.distributed import rollup

    settings = settings_of(
        service=True, database=database, retention=retention, metrics_port=metrics_port, data_dir=data_dir
    )
    stop = stop_signals()
    with rollup(settings):
        errors.print("ready  roll-up")
        stop.wait()


@app.command("serve")
def serve_command(
    database: Database = None,
    http_host: HttpHost = None,
    http_port: HttpPort = None,
    api_token: ApiToken = None,
    public: Public = None,
    data_dir: Directory = None,
) -> None:
    """
    Serve the HTTP side of a hub whose database is elsewhere.

    Example: stadspuls serve --database postgresql://reader@db/stadspuls --http-port 8080
    """
    from hub.run.distributed import serve

    settings = settings_of(
        service=True, database=database, http_host=http_host, http_port=http_port, api_token=api_token, public=public,
        data_dir=data_dir,
    )  # fmt: skip
    stop = stop_signals()
    with serve(settings) as server:
        errors.print(f"ready  http {server.url}")
        stop.wait()
