"""
What goes out of the areas, on the command line: `areas export` and `areas indicator`.

`hub.cli.areas` has the other commands of `areas`; `hub.cli.main` loads this module for its effect.
"""

from pathlib import Path
from typing import Annotated

import typer

from aggregates.areas.export import check_open, export_areas, export_figures, origins
from aggregates.areas.figures import areas, joined, newest_vintage
from aggregates.areas.indicators import INDICATORS
from aggregates.areas.stored_indicators import HEAVY, Asked, compute, read_layer
from aggregates.ask.query import BadQuestion
from hub.cli.areas import First, Last, Level, Measure, Vintage, Window, areas_app, join_of
from hub.cli.common import Database, Directory, Form, Out, flag, open_store, settings_of, stamp
from hub.cli.output import Format, errors, write


@areas_app.command("export")
def areas_export(
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
    database: Database = None,
    data_dir: Directory = None,
) -> None:
    """
    Export area figures (Parquet) or areas with their statistics, with source, vintage and licence of all of it.

    Example: stadspuls areas export --out open --quantity no2 --from 2024-06-01 --to 2024-07-01 --open-data
    """
    if shape not in ("geojson", "geoparquet"):
        raise BadQuestion(f"shape {shape!r}, expected geojson or geoparquet")
    with open_store(settings_of(data_dir=data_dir, database=database)) as store:
        year = vintage or newest_vintage(store)
        if quantity is None:
            found = origins(store, year)
            path = export_areas(areas(store, year, level, limit=1_000_000), found, directory, shape)
            errors.print(f"{path}", markup=False)
            return
        figures = joined(store, join_of(store, quantity, first, last, window, level, measure, year))
        found = origins(store, year, quantity)
        if open_data:
            check_open(found)
        errors.print(f"{export_figures(figures, found, directory)} files in {directory}", markup=False)


@areas_app.command("indicator")
def areas_indicator(
    name: Annotated[str, typer.Argument(help=", ".join(INDICATORS))],
    quantity: Annotated[str, flag("quantity", "what was measured")],
    first: Annotated[str, flag("from", "first window's start, inclusive")],
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
    database: Database = None,
    data_dir: Directory = None,
) -> None:
    """
    Compute an indicator of an area; docs/indicators.md says how, and what it does not say.

    Example: stadspuls areas indicator week-profile --quantity no2 --area GM0014 --from 2024-06-01 --to 2024-07-01
    """
    settings = settings_of(data_dir=data_dir, database=database)
    begin, end = stamp("from", first), stamp("to", last)
    with open_store(settings) as store:
        asked = Asked(quantity, begin, end, area, vintage or newest_vintage(store), settings.timezone)
        frame = compute(
            store, name, asked, base_to=None if base is None else stamp("base-to", base), threshold=threshold,
            heavy=heavy or HEAVY, layer=None if layer is None else read_layer(layer, column),
        )  # fmt: skip
    write(frame, form, out)
