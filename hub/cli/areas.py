"""
Areas on the command line: `areas load`, `join`, `list`, `measures`, `export` and `indicator`.

`aggregates.areas` does the work; here are the flags, what is fetched, and what is printed meanwhile.
"""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

import pandas as pd
import typer

from aggregates.areas.cbs_door import Cbs, Unreachable
from aggregates.areas.codes import Level
from aggregates.areas.inputs import Document, Gathered, gather
from aggregates.areas.load import load
from aggregates.areas.measures import MEASURES, THEMES
from aggregates.areas.roll_up import place_sensors, roll_areas
from aggregates.ask.area_figures import HEAVY, compute, joined, read_layer
from aggregates.ask.areas import areas, newest_vintage
from aggregates.ask.indicators import INDICATORS
from aggregates.ask.query import BadQuestion, Question
from aggregates.export.areas import check_open, export_areas, export_figures, origins
from aggregates.store.store import Store
from hub.cli.common import command, group, municipality_code, note_waiting, open_store, progress_bar, range_of, stamp
from hub.cli.output import Format, errors, write
from hub.run.gateways import door
from hub.settings.settings import Settings

Window = Literal["1h", "1d"]

areas_app = group("areas", "Areas of CBS, and the figures of the sensors in them.")


@command(areas_app, "load", "database")
def areas_load(
    settings: Settings, vintage: int, municipality: list[str], from_file: list[Path] | None = None,
    offline: bool = False, refresh: bool = False,
) -> None:  # fmt: skip
    """Load boundaries (PDOK) and "Kerncijfers wijken en buurten" (CBS); what a file gives is not fetched."""
    codes = list(dict.fromkeys(municipality_code("municipality", code) for code in municipality))
    documents = [Document.read(path) for path in from_file or ()]
    found = gather(documents, vintage, codes)
    missing = [part for part, given in (("boundaries", found.areas), ("statistics", found.statistics)) if not given]
    if missing and not offline:
        cbs = door(settings, tries=4, refresh=refresh)
        documents += _fetch(cbs, missing, vintage, codes, needed=not documents)
        found = gather(documents, vintage, codes)
    _check_complete(found, vintage, codes)
    with open_store(settings) as store:
        _store_areas(store, vintage, codes, found)


def _fetch(cbs: Cbs, missing: list[str], vintage: int, codes: list[str], *, needed: bool) -> list[Document]:
    """Fetch what is missing; what cannot be reached is an error only where there is nothing else to load."""
    found: list[Document] = []
    with progress_bar() as progress:
        task = progress.add_task("pages fetched", total=None)
        cbs.on_page = lambda: progress.advance(task)
        for part in missing:
            try:
                found += cbs.boundaries(vintage, codes) if part == "boundaries" else cbs.statistics(vintage, codes)
            except Unreachable as error:
                if needed:
                    raise
                errors.print(f"note: {part} are not in the files and could not be fetched: {error}")
    return found


def _check_complete(found: Gathered, vintage: int, codes: list[str]) -> None:
    given = {area.code[2:6] for area in found.areas} | {
        code[2:6] for one in found.statistics for code in one.cells["code"]
    }
    if lacking := [code for code in codes if code[2:6] not in given]:
        raise BadQuestion(f"nothing of {lacking[0]} in vintage {vintage}: neither boundaries nor statistics")


def _store_areas(store: Store, vintage: int, codes: list[str], found: Gathered) -> None:
    changed = load(store, vintage, codes, found)
    for part in changed:
        count = len(part.areas) if part.statistics is None else part.statistics.cells["code"].nunique()
        errors.print(f"{part.municipality} {vintage}: {part.name} of {count} areas from {part.origin}")
    if not changed:
        errors.print(f"vintage {vintage} had all of this already, nothing changed")
    placed = place_sensors(store)
    errors.print(f"{placed} places of sensors compared with the boundaries; `stadspuls areas join` makes the figures")


@command(areas_app, "join", "database")
def areas_join(
    settings: Settings, quantity: str | None = None, first: str | None = None, last: str | None = None,
    window: Window = "1h", level: Level | None = None, measure: list[str] | None = None, anew: bool = False,
    vintage: int | None = None, form: Format = "table", out: Path | None = None,
) -> None:  # fmt: skip
    """Make the area figures that are due, and show them beside the area's statistics."""
    with open_store(settings) as store:
        if anew:
            store.rows("note_changed_validity", sensor_id=[None])  # of every sensor
        errors.print(f"{roll_areas(store)} days of quantities made")
        if quantity is None:
            return
        span = range_of(first, last, settings.timezone, window, quantity)
        frame = _joined(store, quantity, span, window, level, measure, vintage or newest_vintage(store))
    if frame.empty:
        errors.print("no area windows found for this question")
    write(frame, form, out, settings.timezone)


def _joined(
    store: Store, quantity: str, span: tuple[datetime, datetime], window: str, level: str | None,
    measure: list[str] | None, vintage: int,
) -> pd.DataFrame:  # fmt: skip
    """Give the figures of areas beside measures; raises BadQuestion where the flags cannot be."""
    question = Question(quantity, *span, window, vintage=vintage)
    measures = tuple(measure or ("inhabitants", "density", "urbanity"))
    if strange := [name for name in measures if name not in MEASURES]:
        raise BadQuestion(f"measure {strange[0]!r}, expected one of {', '.join(MEASURES)}")
    note_waiting(store, span, window, areas=True)
    return joined(store, question, level, measures)


@command(areas_app, "list", "database")
def areas_list(
    settings: Settings, vintage: int | None = None, level: Level | None = None, form: Format = "table"
) -> None:
    """List the areas of a vintage with their statistics."""
    with open_store(settings) as store:
        found = areas(store, vintage or newest_vintage(store), level, limit=1_000_000)
    shown = ("vintage", "code", "level", "name", "lon", "lat", "derived", "sensors")
    rows = [{name: one[name] for name in shown} | (one["statistics"] or {}) for one in found]
    write(pd.DataFrame(rows), form, None, settings.timezone)


@command(areas_app, "measures")
def areas_measures(settings: Settings, form: Format = "table") -> None:
    """List the measures and indicators by theme; a theme without any is shown as such."""
    about = {"year": "<vintage>", "before": "<vintage - 1>"}
    rows = [
        (one.theme, one.name, one.title, one.unit, one.period.format(**about), one.code) for one in MEASURES.values()
    ]
    rows += [(theme, "", indicator, "", "", "") for theme, known in THEMES.items() for indicator in known]
    has = {row[0] for row in rows}
    rows += [(theme, "", "nothing yet", "", "", "") for theme in THEMES if theme not in has]
    frame = pd.DataFrame(rows, columns=["theme", "measure", "title", "unit", "about", "cbs_code"])
    write(frame.sort_values(["theme", "measure"]), form, None, settings.timezone)


@command(areas_app, "export", "database")
def areas_export(
    settings: Settings, out: Path, quantity: str | None = None, first: str | None = None, last: str | None = None,
    window: Window = "1h", level: Level | None = None, measure: list[str] | None = None,
    shape: Literal["geojson", "geoparquet"] = "geojson", open_data: bool = False, vintage: int | None = None,
) -> None:  # fmt: skip
    """Export area figures (Parquet) or areas with their statistics, with source, vintage and licence of all of it."""
    with open_store(settings) as store:
        year = vintage or newest_vintage(store)
        if quantity is None:
            found = areas(store, year, level, limit=1_000_000)
            errors.print(str(export_areas(found, origins(store, year), out, shape)))
            return
        span = range_of(first, last, settings.timezone, window, quantity)
        figures = _joined(store, quantity, span, window, level, measure, year)
        sources = origins(store, year, quantity)
        if open_data:
            check_open(sources)
        errors.print(f"{export_figures(figures, sources, out)} files in {out}")


@command(areas_app, "indicator", "database")
def areas_indicator(
    settings: Settings, name: Annotated[str, typer.Argument(help=", ".join(INDICATORS))], /, quantity: str, first: str,
    last: str, area: str, base_to: str | None = None, threshold: float | None = None, heavy: list[str] | None = None,
    layer: Path | None = None, column: str = "value", vintage: int | None = None, form: Format = "table",
    out: Path | None = None,
) -> None:  # fmt: skip
    """Compute an indicator of an area; docs/indicators.md describes each, and its limits."""
    zone, length = settings.timezone, "1d" if name == "panel-index" else "1h"
    span = range_of(first, last, zone, length, quantity)
    until = None if base_to is None else stamp("base-to", base_to, zone, length, quantity)
    with open_store(settings) as store:
        note_waiting(store, span, length, areas=True)
        asked = Question(quantity, *span, "1h", area=area, vintage=vintage or newest_vintage(store))
        frame = compute(
            store, name, asked, base_to=until, threshold=threshold,
            heavy=heavy or HEAVY, layer=None if layer is None else read_layer(layer, column),
        )  # fmt: skip
    write(frame, form, out, zone)
