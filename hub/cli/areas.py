"""
Areas on the command line: `areas load`, `join`, `list`, `measures`, `export` and `indicator`.

`aggregates.areas` does the work; here are the flags, what is fetched, and what is printed meanwhile.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from aggregates.areas.cbs_door import Cbs, Unreachable
from aggregates.areas.codes import LEVELS
from aggregates.areas.inputs import Document, Gathered, gather
from aggregates.areas.load import load
from aggregates.areas.measures import MEASURES, THEMES
from aggregates.areas.roll_up import mark_all, place_sensors, roll_areas
from aggregates.ask.area_figures import HEAVY, compute, joined, read_layer
from aggregates.ask.areas import VIEWS, areas, newest_vintage
from aggregates.ask.indicators import INDICATORS
from aggregates.ask.query import BadQuestion, Question
from aggregates.export.areas import check_open, export_areas, export_figures, origins
from aggregates.store.store import Store
from hub.cli.common import (
    BEGIN,
    Form,
    Out,
    command,
    flag,
    group,
    municipality_code,
    note_waiting,
    open_store,
    progress_bar,
    range_of,
    stamp,
)
from hub.cli.output import Format, errors, write
from hub.settings.settings import Settings

areas_app = group("areas", "Areas of CBS, and the figures of the sensors in them.")

Vintage = Annotated[int | None, flag("vintage", "year of the areas (default: the newest that is loaded)")]

First = Annotated[str | None, flag("from", BEGIN)]
Last = Annotated[str | None, flag("to", "end of the range, exclusive")]
Window = Annotated[str, flag("window", "1h or 1d")]
Level = Annotated[str | None, flag("level", "gemeente, wijk or buurt (default: all)")]
Measure = Annotated[list[str] | None, flag("measure", "measure beside the figures; may be repeated")]


@command(areas_app, "load", "database")
def areas_load(
    settings: Settings,
    vintage: Annotated[int, flag("vintage", "year of the areas and of the statistics")],
    municipality: Annotated[list[str], flag("municipality", "code, as GM0014; may be repeated")],
    from_file: Annotated[
        list[Path] | None, flag("from-file", "a map, a table, or metadata, in any form; may be repeated")
    ] = None,
    offline: Annotated[bool, flag("offline", "fetch nothing, load what the files give")] = False,
    refresh: Annotated[bool, flag("refresh", "fetch anew what is in the cache")] = False,
) -> None:
    """
    Load boundaries (PDOK) and "Kerncijfers wijken en buurten" (CBS); what a file gives is not fetched.

    Example: stadspuls areas load --vintage 2024 --municipality GM0014 --municipality GM0772
    """
    codes = list(dict.fromkeys(municipality_code("municipality", code) for code in municipality))
    documents = [Document.read(path) for path in from_file or ()]
    found = gather(documents, vintage, codes)
    missing = [part for part, given in (("boundaries", found.areas), ("statistics", found.statistics)) if not given]
    if missing and not offline:
        with _fetching(Cbs(settings.data_dir / "cbs", refresh=refresh)) as cbs:
            documents += _fetch(cbs, missing, vintage, codes, needed=not documents)
        found = gather(documents, vintage, codes)
    _check_complete(found, vintage, codes)
    with open_store(settings) as store:
        _store_areas(store, vintage, codes, found)


@contextmanager
def _fetching(cbs: Cbs) -> Iterator[Cbs]:
    with progress_bar() as progress, cbs:
        task = progress.add_task("pages fetched", total=None)
        cbs.on_page = lambda: progress.advance(task)
        yield cbs


def _fetch(cbs: Cbs, missing: list[str], vintage: int, codes: list[str], *, needed: bool) -> list[Document]:
    """Fetch what is missing; what cannot be reached is an error only where there is nothing else to load."""
    found: list[Document] = []
    for part in missing:
        try:
            found += cbs.boundaries(vintage, codes) if part == "boundaries" else cbs.statistics(vintage, codes)
        except Unreachable as error:
            if needed:
                raise
            errors.print(f"note: {part} are not in the files and could not be fetched: {error}")
    return found


def _check_complete(found: Gathered, vintage: int, codes: list[str]) -> None:
    given = {area.code for area in found.areas} | {code for one in found.statistics for code in one.cells["code"]}
    for code in codes:
        if not any(known[2:6] == code[2:6] for known in given):
            raise BadQuestion(f"nothing of {code} in vintage {vintage}: neither boundaries nor statistics")


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
    settings: Settings,
    quantity: Annotated[str | None, flag("quantity", "what was measured; without it only the figures are made")] = None,
    first: First = None,
    last: Last = None,
    window: Window = "1h",
    level: Level = None,
    measure: Measure = None,
    anew: Annotated[bool, flag("anew", "make every area figure again")] = False,
    vintage: Vintage = None,
    form: Form = Format.TABLE,
    out: Out = None,
) -> None:
    """
    Make the area figures that are due, and show them beside the area's statistics.

    Example: stadspuls areas join --quantity no2 --from 2024-06-01 --to 2024-07-01 --window 1d --level buurt
    """
    with open_store(settings) as store:
        if anew:
            mark_all(store)
        errors.print(f"{roll_areas(store)} days of quantities made")
        if quantity is None:
            return
        span = range_of(first, last, settings.timezone, window, quantity)
        asked = _join(quantity, span, window, level, measure, vintage or newest_vintage(store))
        note_waiting(store, span, window, areas=True)
        frame = joined(store, *asked)
    if frame.empty:
        errors.print("no area windows found for this question")
    write(frame, form, out, settings.timezone)


def _join(
    quantity: str, span: tuple[datetime, datetime], window: str, level: str | None, measure: list[str] | None,
    vintage: int,
) -> tuple[Question, str | None, tuple[str, ...]]:  # fmt: skip
    """Give the question that the flags ask, with level and measures; raises BadQuestion where they cannot."""
    question = Question(quantity, *span, window, vintage=vintage)
    if window not in VIEWS:
        raise BadQuestion(f"window {window!r} of areas, expected 1h or 1d")
    if level is not None and level not in LEVELS:
        raise BadQuestion(f"level {level!r}, expected one of {', '.join(LEVELS)}")
    measures = tuple(measure or ("inhabitants", "density", "urbanity"))
    if strange := [name for name in measures if name not in MEASURES]:
        raise BadQuestion(f"measure {strange[0]!r}, expected one of {', '.join(MEASURES)}")
    return question, level, measures


@command(areas_app, "list", "database")
def areas_list(settings: Settings, vintage: Vintage = None, level: Level = None, form: Form = Format.TABLE) -> None:
    """
    List the areas of a vintage with their statistics.

    Example: stadspuls areas list --vintage 2024 --level wijk
    """
    with open_store(settings) as store:
        found = areas(store, vintage or newest_vintage(store), level, limit=1_000_000)
    shown = ("vintage", "code", "level", "name", "lon", "lat", "derived", "sensors")
    rows = [{name: one[name] for name in shown} | (one["statistics"] or {}) for one in found]
    write(pd.DataFrame(rows), form, None, settings.timezone)


@command(areas_app, "measures")
def areas_measures(settings: Settings, form: Form = Format.TABLE) -> None:
    """
    List the measures and indicators by theme; a theme without any is shown as such.

    Example: stadspuls areas measures
    """
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
    settings: Settings,
    directory: Annotated[Path, flag("out", "directory to write to")],
    quantity: Annotated[str | None, flag("quantity", "area figures of this; without it the areas themselves")] = None,
    first: First = None,
    last: Last = None,
    window: Window = "1h",
    level: Level = None,
    measure: Measure = None,
    shape: Annotated[str, flag("shape", "of the areas themselves: geojson or geoparquet")] = "geojson",
    open_data: Annotated[bool, flag("open-data", "refuse what may not be used commercially")] = False,
    vintage: Vintage = None,
) -> None:
    """
    Export area figures (Parquet) or areas with their statistics, with source, vintage and licence of all of it.

    Example: stadspuls areas export --out open --quantity no2 --from 2024-06-01 --to 2024-07-01 --open-data
    """
    if shape not in ("geojson", "geoparquet"):
        raise BadQuestion(f"shape {shape!r}, expected geojson or geoparquet")
    with open_store(settings) as store:
        year = vintage or newest_vintage(store)
        if quantity is None:
            found = origins(store, year)
            path = export_areas(areas(store, year, level, limit=1_000_000), found, directory, shape)
            errors.print(f"{path}")
            return
        span = range_of(first, last, settings.timezone, window, quantity)
        note_waiting(store, span, window, areas=True)
        figures = joined(store, *_join(quantity, span, window, level, measure, year))
        found = origins(store, year, quantity)
        if open_data:
            check_open(found)
        errors.print(f"{export_figures(figures, found, directory)} files in {directory}")


@command(areas_app, "indicator", "database")
def areas_indicator(
    settings: Settings,
    name: Annotated[str, typer.Argument(help=", ".join(INDICATORS))],
    quantity: Annotated[str, flag("quantity", "what was measured")],
    first: Annotated[str, flag("from", BEGIN)],
    last: Annotated[str, flag("to", "end of the range, exclusive")],
    area: Annotated[str, flag("area", "area code, as WK001400")],
    base: Annotated[str | None, flag("base-to", "panel-index: the base is from --from to here")] = None,
    threshold: Annotated[float | None, flag("threshold", "hours-above, exposure: the limit")] = None,
    heavy: Annotated[list[str] | None, flag("heavy", "heavy-share: classes that are heavy; may be repeated")] = None,
    layer: Annotated[Path | None, flag("layer", "exposure: a modelled map, grid cells or polygons")] = None,
    column: Annotated[str, flag("column", "exposure: the layer's column with the values")] = "value",
    vintage: Vintage = None,
    form: Form = Format.TABLE,
    out: Out = None,
) -> None:
    """
    Compute an indicator of an area; docs/indicators.md describes each, and its limits.

    Example: stadspuls areas indicator week-profile --quantity no2 --area GM0014 --from 2024-06-01 --to 2024-07-01
    """
    zone, length = settings.timezone, "1d" if name == "panel-index" else "1h"
    span = range_of(first, last, zone, length, quantity)
    until = None if base is None else stamp("base-to", base, zone, length, quantity)
    with open_store(settings) as store:
        note_waiting(store, span, length, areas=True)
        asked = Question(quantity, *span, "1h", area=area, vintage=vintage or newest_vintage(store))
        frame = compute(
            store, name, asked, base_to=until, threshold=threshold,
            heavy=heavy or HEAVY, layer=None if layer is None else read_layer(layer, column),
        )  # fmt: skip
    write(frame, form, out, zone)
