"""
Areas on the command line: `areas load`, `base-map`, `join`, `list`, `measures`, `export` and `indicator`.

`aggregates.areas` does the work; here are the flags, what is fetched, and what is printed meanwhile.
"""

from pathlib import Path
from typing import Annotated, Literal

import pandas as pd
import typer

from aggregates.areas.cbs_door import Cbs, Unreachable
from aggregates.areas.codes import BASE_MAP, Level
from aggregates.areas.inputs import Document, gather
from aggregates.areas.load import boundary, load
from aggregates.areas.maps import read_layer, write_base_map
from aggregates.areas.measures import MEASURES, THEMES
from aggregates.areas.roll_up import place_sensors, roll_areas
from aggregates.ask.areas import newest_vintage
from aggregates.ask.dates import BadQuestion
from aggregates.ask.indicators import HEAVY, INDICATORS, compute
from aggregates.ask.periods import LONG
from aggregates.ask.query import Question
from aggregates.export.areas import check_open, export_areas, export_figures, origins
from aggregates.store.store import Store
from hub.cli.common import command, municipality_code, note_waiting, progress_bar, range_of, stamp
from hub.cli.lists import command_of, rows_of
from hub.cli.output import Format, errors, write
from hub.run.gateways import door
from hub.settings.settings import Settings

Window = Literal["1h", "1d"]
BESIDE = ["inhabitants", "density", "urbanity"]  # measures, where none are named


@command("areas load")
def areas_load(
    settings: Settings, store: Store, vintage: int, municipality: list[str], from_file: list[Path] | None = None,
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
    given = {area.code[2:6] for area in found.areas}
    given |= {code[2:6] for one in found.statistics for code in one.cells["code"]}
    if lacking := [code for code in codes if code[2:6] not in given]:
        raise BadQuestion(f"nothing of {lacking[0]} in vintage {vintage}: neither boundaries nor statistics")
    changed = load(store, vintage, codes, found)
    for part in changed:
        count = len(part.areas) if part.statistics is None else part.statistics.cells["code"].nunique()
        errors.print(f"{part.municipality} {vintage}: {part.name} of {count} areas from {part.origin}")
    if not changed:
        errors.print(f"vintage {vintage} had all of this already, nothing changed")
    placed = place_sensors(store)
    errors.print(f"{placed} places of sensors compared with the boundaries; `stadspuls areas join` makes the figures")


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


@command("areas base-map")
def areas_base_map(
    settings: Settings, store: Store, files: list[Path], /, municipality: str, attribution: str,
    out: Path | None = None,
) -> None:  # fmt: skip
    """Draw roads and water of a municipality for the live page, which needs no internet for them then."""
    code = municipality_code("municipality", municipality)
    area = boundary(store, code)
    if area is None:
        raise BadQuestion(f"no boundary of {code}, expected one of `stadspuls areas load`")
    written = out or settings.data_dir / BASE_MAP
    write_base_map(files, area.shape, attribution, written)
    errors.print(f"base map of {area.name} in {written}")


@command("areas join")
def areas_join(
    settings: Settings, store: Store, quantity: str | None = None, first: str | None = None, last: str | None = None,
    window: Literal["1h", "1d", "1w", "1mo", "1q", "1y", "whole"] = "1h", period: str | None = None,
    profile: str | None = None, level: Level | None = None, measure: list[str] | None = None, anew: bool = False,
    vintage: int | None = None, as_of: str | None = None, form: Format = "table", out: Path | None = None,
) -> None:  # fmt: skip
    """Make the area figures that are due, and show them, or averages over days of a kind, beside statistics."""
    if anew:
        store.rows("note_changed_validity", sensor_id=[None])  # of every sensor
    errors.print(f"{roll_areas(store)} days of quantities made")
    if quantity is None:
        return
    asked = {"from": first, "to": last, "window": window, "level": level, "vintage": vintage, "asOf": as_of,
             "measure": measure or BESIDE}  # fmt: skip
    if period or profile or window in LONG:
        averaged = {**asked, "quantity": quantity, "period": period, "profile": profile}
        table = rows_of(settings, "/area-averages", averaged)
    else:
        table = rows_of(settings, "/area-aggregates", {**asked, "quantity": [quantity]})
    if not table.num_rows:
        errors.print("no area windows found for this question")
    write(table, form, out, settings.timezone)


command_of("areas list", "/areas")


@command("areas measures")
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


@command("areas export")
def areas_export(
    settings: Settings, store: Store, out: Path, quantity: str | None = None, first: str | None = None,
    last: str | None = None, window: Window = "1h", level: Level | None = None, measure: list[str] | None = None,
    shape: Literal["geojson", "geoparquet"] = "geojson", open_data: bool = False, vintage: int | None = None,
) -> None:  # fmt: skip
    """Export area figures (Parquet) or areas with their statistics, with source, vintage and licence of all of it."""
    year = vintage or newest_vintage(store)
    if quantity is None:
        path, _ = export_areas(store, year, level, out, shape)
        errors.print(str(path))
        return
    asked = {"quantity": [quantity], "from": first, "to": last, "window": window, "level": level, "vintage": year}
    figures = rows_of(settings, "/area-aggregates", {**asked, "measure": measure or BESIDE})
    sources = origins(store, year, quantity)
    if open_data:
        check_open(sources)
    errors.print(f"{export_figures(figures, sources, out)} files in {out}")


@command("areas indicator")
def areas_indicator(
    settings: Settings, store: Store, name: Annotated[str, typer.Argument(help=", ".join(INDICATORS))], /,
    quantity: str, first: str, last: str, area: str, base_to: str | None = None, threshold: float | None = None,
    heavy: list[str] | None = None, layer: Path | None = None, column: str = "value", vintage: int | None = None,
    form: Format = "table", out: Path | None = None,
) -> None:  # fmt: skip
    """Compute an indicator of an area; docs/indicators.md describes each, and its limits."""
    zone, length = settings.timezone, "1d" if name == "panel-index" else "1h"
    span = range_of(first, last, zone, length, quantity)
    until = None if base_to is None else stamp("base-to", base_to, zone, length, quantity)
    note_waiting(store, span, length, areas=True)
    asked = Question(quantity, *span, "1h", area=area, vintage=vintage or newest_vintage(store))
    frame = compute(
        store, name, asked, base_to=until, threshold=threshold,
        heavy=heavy or HEAVY, layer=None if layer is None else read_layer(layer, column),
    )  # fmt: skip
    write(frame, form, out, zone)
