"""
`gateway`: polls open sources and publishes their measurements; `hub.run.gateways` has what the settings give them.
"""

from typing import Annotated

import typer

from aggregates.ask.query import BadQuestion
from hub.cli.common import IMPOSSIBLE, app, broker_of, command, end, municipality_code, running_hub, stop_signals
from hub.cli.output import errors
from hub.run.gateways import GatewayCollector, municipality, plan
from hub.settings.settings import Settings
from hub.web.http import metrics_served
from ingest.gateways.registry import Region, load_gateways
from ingest.gateways.schedule import Gateways

NAMES = load_gateways()


@command(app, "gateway", "broker", "database", "metrics_port", service=True)
def gateway(
    settings: Settings,
    names: Annotated[list[str], typer.Argument(help=f"one or more of {', '.join(NAMES)}", metavar="NAME...")],
    /, city: str | None = None, bbox: str | None = None, once: bool = False,
) -> None:  # fmt: skip
    """Poll open sources and publish their measurements over MQTT; what was published is kept in the data directory."""
    if unknown := [name for name in names if name not in NAMES]:
        raise BadQuestion(f"gateway {unknown[0]!r}, expected one of {', '.join(NAMES)}")
    area = _area(settings, city, bbox)
    address = broker_of(settings)
    stop = stop_signals()
    gateways = Gateways(plan(settings, list(dict.fromkeys(names)), address, area))
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
        end(IMPOSSIBLE, f"error: {', '.join(failed)} could not be read, see the log")


def _area(settings: Settings, city: str | None, bbox: str | None) -> Region | None:
    """Give the area that is asked for, None for the whole country; raises BadQuestion, and as `municipality` does."""
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
