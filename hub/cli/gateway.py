"""
The country's open sources: `gateway`.
"""

from typing import Annotated

import typer

from aggregates.ask.query import BadQuestion
from hub.cli.common import (
    IMPOSSIBLE,
    Broker,
    Database,
    Directory,
    MetricsPort,
    app,
    broker_of,
    flag,
    municipality_code,
    running_hub,
    settings_of,
    stop_signals,
)
from hub.cli.output import errors
from hub.run.gateways import GatewayCollector, municipality, plan
from hub.servers.process import CannotStart
from hub.settings.settings import Settings
from hub.web.http import metrics_served
from ingest.gateways.area import Area
from ingest.gateways.memory import Taken
from ingest.gateways.registry import load_gateways
from ingest.gateways.schedule import Gateways

City = Annotated[str | None, flag("city", "only this municipality, as GM0014")]
NAMES = load_gateways()


@app.command("gateway")
def gateway(
    names: Annotated[list[str], typer.Argument(help=f"one or more of {', '.join(NAMES)}", metavar="NAME...")],
    city: City = None,
    bbox: Annotated[str | None, flag("bbox", "only this box: west,south,east,north in degrees")] = None,
    once: Annotated[bool, flag("once", "look at each source once, and end")] = False,
    broker: Broker = None,
    database: Database = None,
    metrics_port: MetricsPort = None,
    data_dir: Directory = None,
) -> None:
    """
    Poll open sources and publish what they say over MQTT; what was published is remembered in the data directory.

    Example: stadspuls gateway ndw luchtmeetnet --city GM0014
    """
    settings = settings_of(service=True, data_dir=data_dir, broker=broker, database=database, metrics_port=metrics_port)
    where = _checked(names, city, bbox)
    address = broker_of(settings)
    area = _area(settings, where)
    stop = stop_signals()
    try:
        gateways = Gateways(plan(settings, list(dict.fromkeys(names)), address, area))
    except Taken as error:
        raise CannotStart(str(error)) from error
    health = {"ready": True, "gateways": names}
    with gateways, metrics_served(settings, GatewayCollector(lambda: gateways.counts), lambda: health):
        if once:
            _once(gateways)
            return
        gateways.start()
        errors.print(
            f"ready  gateways {', '.join(names)} for {area.name if area else 'the whole country'} to {address}"
        )
        stop.wait()
        errors.print("stopping")


def _once(gateways: Gateways) -> None:
    failed = gateways.once()
    for one in gateways.counts:
        errors.print(f"{one.job}: {one.total('messages')} messages published")
    if failed:
        errors.print(f"error: {', '.join(failed)} could not be read, the log says why")
        raise typer.Exit(IMPOSSIBLE)


def _checked(names: list[str], city: str | None, bbox: str | None) -> Area | str | None:
    """Give the box, the municipality's code, or None for the whole country; raises BadQuestion."""
    for name in names:
        if name not in NAMES:
            raise BadQuestion(f"gateway {name!r}, expected one of {', '.join(NAMES)}")
    if city and bbox:
        raise BadQuestion("--city and --bbox, expected one of them")
    try:
        return municipality_code("city", city) if city else Area.box(bbox) if bbox else None
    except ValueError as error:
        raise error if isinstance(error, BadQuestion) else BadQuestion(f"--bbox {error}") from error


def _area(settings: Settings, where: Area | str | None) -> Area | None:
    if not isinstance(where, str):
        return where
    running = running_hub(settings)
    return municipality(settings, settings.database or (running.database if running else None), where)
