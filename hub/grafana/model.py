"""
The dashboards as data, `pages/*.toml` and `variables.toml`, and in Grafana's own typed model, which is made of it.

`hub.grafana.push` sends them, `stadspuls grafana write` writes them as files when Grafana's image is built. A page that
cannot work is refused with its file and key. Every panel has one SQL statement over the views of docs/analysts.md, run
as the role that may only read; other SQL (`pages/*.sql`) is put around some.

The statement of a time series gives `time`, `end`, `metric` and `value`, a row a window: where windows are missing
between two it gets a row without a value, so that Grafana draws no line over what was not measured. `$level` in it
stands for 5m, 1h or 1d, by the length of the range that is looked at.
"""

import json
import re
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

import msgspec
from grafana_foundation_sdk.builders import common, timeseries
from grafana_foundation_sdk.builders import dashboard as make
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import common as kinds
from grafana_foundation_sdk.models import dashboard as typed

PAGES = Path(__file__).with_name("pages")
SOURCE = typed.DataSourceRef(type_val="grafana-postgresql-datasource", uid="stadspuls")
Plain = dict[str, Any]
T = TypeVar("T")


class Panel(msgspec.Struct, forbid_unknown_fields=True):
    """`[[panel]]`: `width` of 24 columns, `height` in rows of 30 pixels, `unit` by Grafana's name for it."""

    title: str
    kind: Literal["timeseries", "stat", "table", "barchart", "geomap", "xychart"]
    sql: str
    description: str = ""
    unit: str = ""
    width: int = 12
    height: int = 8
    limits: list[tuple[float, str]] = []  # from which value on in which colour
    decimals: int | None = None
    stacked: bool = False
    links: dict[str, str] = {}  # column: address, with ${__value.text} for the cell
    row: str = ""  # a heading above the panel


class Page(msgspec.Struct, forbid_unknown_fields=True):
    """
    A dashboard; its uid is the name of its file. `since` is the range it shows at first, as now-24h.

    `alerts` is an SQL condition on the table `alert` (as `a`): which alerts are annotations in the graphs; empty: none.
    """

    title: str
    description: str
    folder: str
    variables: list[str]
    panel: list[Panel]
    alerts: str = ""
    since: str = "now-24h"
    refresh: str = "30s"


class Variable(msgspec.Struct, forbid_unknown_fields=True):
    """A choice at the top of a dashboard: the rows of a query, or a list of words."""

    label: str
    query: str = ""
    words: list[str] = []
    all: str = ""  # what stands for "all of them", where that may be chosen
    by_range: bool = False  # asked again when another time is looked at


def variables() -> dict[str, Variable]:
    """Read the variables by name; raises ValueError, naming file and key."""
    return _read(PAGES / "variables.toml", dict[str, Variable])


def pages() -> dict[str, Page]:
    """Read the dashboards by uid; raises ValueError, naming file and key."""
    found = {path.stem: _read(path, Page) for path in sorted(PAGES.glob("*.toml")) if path.stem != "variables"}
    known = variables()
    for uid, page in found.items():
        if strange := [name for name in page.variables if name not in known]:
            raise ValueError(f"{uid}.toml: variables {', '.join(strange)}, expected some of {', '.join(known)}")
    return found


def _read(path: Path, kind: type[T]) -> T:
    try:
        return msgspec.toml.decode(path.read_bytes(), type=kind)
    except ValueError as error:
        raise ValueError(f"{path.name}: {error}") from error


class SqlQuery(Dataquery, typed.AnnotationTarget, Builder[Any]):
    """One statement to the PostgreSQL data source, of a panel or of annotations."""

    def __init__(self, sql: str, shape: str) -> None:
        self._json = {"refId": "A", "rawQuery": True, "editorMode": "code", "format": shape, "rawSql": sql.strip()}

    def to_json(self) -> dict[str, object]:
        """Give it as Grafana's data source reads it."""
        return {"datasource": SOURCE, **self._json}

    def build(self) -> Self:
        """See `Builder`: nothing is left to build."""
        return self


def dashboards() -> dict[str, Plain]:
    """Give every dashboard by uid, as the JSON that Grafana stores; raises ValueError for a page that cannot work."""
    known = variables()
    return {uid: _plain(uid, page, known) for uid, page in pages().items()}


def _plain(uid: str, page: Page, known: Mapping[str, Variable]) -> Plain:
    built = make.Dashboard(page.title).uid(uid).description(page.description).tags(["stadspuls"])
    built.time(page.since, "now").refresh(page.refresh).timezone("browser").editable()
    built.tooltip(typed.DashboardCursorSync.CROSSHAIR)
    link = make.DashboardLink("Stadspuls").type(typed.DashboardLinkType.DASHBOARDS).tags(["stadspuls"])
    built.link(link.as_dropdown(True).keep_time(True).include_vars(True))
    for name in page.variables:
        built.with_variable(_variable(name, known[name]))
    if page.alerts:
        alerts = make.AnnotationQuery().name("Alerts").datasource(SOURCE).enable(True).icon_color("red")
        built.annotation(alerts.target(SqlQuery(alerts_statement(page), "table")))
    for panel in page.panel:
        if panel.row:
            built.with_row(make.Row(panel.row))
        built.with_panel(_panel(panel))
    found: Plain = json.loads(JSONEncoder(sort_keys=True).encode(built.build()))
    return found


def _variable(name: str, spec: Variable) -> make.QueryVariable | make.CustomVariable:
    if spec.words:
        first = typed.VariableOption(text=spec.words[0], value=spec.words[0], selected=True)
        return make.CustomVariable(name).label(spec.label).values(",".join(spec.words)).current(first)
    renewed = typed.VariableRefresh.ON_TIME_RANGE_CHANGED if spec.by_range else typed.VariableRefresh.ON_DASHBOARD_LOAD
    query = make.QueryVariable(name).label(spec.label).query(_quoted(spec.query.strip())).datasource(SOURCE)
    query.refresh(renewed).sort(typed.VariableSort.DISABLED)
    return query.include_all(True).all_value(spec.all) if spec.all else query


def _panel(spec: Panel) -> Any:
    panel = import_module(f"grafana_foundation_sdk.builders.{spec.kind}").Panel()
    if spec.kind == "timeseries":
        _drawn(panel, spec)
    elif spec.kind == "geomap":
        panel.basemap(common.MapLayerOptions().type("default").name("Base")).layers([_markers()])
    panel.title(spec.title).description(spec.description).datasource(SOURCE).span(spec.width).height(spec.height)
    panel.no_value("no value")
    panel.with_target(SqlQuery(statement(spec), "time_series" if spec.kind == "timeseries" else "table"))
    if spec.unit:
        panel.unit(spec.unit)
    if spec.decimals is not None:
        panel.decimals(spec.decimals)
    if spec.limits:
        panel.thresholds(_thresholds(spec))
    for column, address in spec.links.items():
        link = {"title": "Open", "url": address}
        panel.override_by_name(column, [typed.DynamicConfigValue(id_val="links", value=[link])])
    return panel


def statement(spec: Panel) -> str:
    """Give a panel's SQL as it is sent, with rows for gaps where it draws lines."""
    return _quoted(_around("gaps", spec.sql.strip()) if spec.kind == "timeseries" else spec.sql)


def alerts_statement(page: Page) -> str:
    """Give the SQL of a dashboard's annotations as it is sent: a row for each alert in the range that is shown."""
    return _quoted(_around("alerts", page.alerts))


def _around(name: str, sql: str) -> str:
    """Put a statement into one of the folder of pages, without its comment."""
    return (PAGES / f"{name}.sql").read_text("utf-8").partition("\n")[2] % sql


def _quoted(sql: str) -> str:
    """Have Grafana quote what is chosen; what stands for "all" it would not quote, so that keeps its own quotes."""
    free = [name for name, one in variables().items() if not one.all]
    return re.sub(rf"'\$({'|'.join(free)})'", r"${\1:sqlstring}", sql)


def _drawn(panel: timeseries.Panel, spec: Panel) -> None:
    panel.span_nulls(False).line_width(1).fill_opacity(60 if spec.stacked else 0)
    panel.legend(common.VizLegendOptions().show_legend(True).placement(kinds.LegendPlacement.BOTTOM))
    panel.tooltip(common.VizTooltipOptions().mode(kinds.TooltipDisplayMode.MULTI))
    if spec.stacked:
        panel.stacking(common.StackingConfig().mode(kinds.StackingMode.NORMAL).group("A"))
    if spec.limits:
        panel.thresholds_style(common.GraphThresholdsStyleConfig().mode(kinds.GraphThresholdsStyleMode.LINE))


def _thresholds(spec: Panel) -> make.ThresholdsConfig:
    steps = [typed.Threshold(value=value, color=color) for value, color in spec.limits]
    if spec.kind == "timeseries":
        steps = [typed.Threshold(value=None, color="transparent"), *steps]
    else:
        steps[0] = typed.Threshold(value=None, color=steps[0].color)
    return make.ThresholdsConfig().mode(typed.ThresholdsMode.ABSOLUTE).steps(steps)


def _markers() -> common.MapLayerOptions:
    config = {"style": {"color": {"field": "value"}, "size": {"fixed": 7}, "opacity": 0.8}, "showLegend": True}
    place = common.FrameGeometrySource().mode(kinds.FrameGeometrySourceMode.COORDS)
    place = place.latitude("latitude").longitude("longitude")
    return common.MapLayerOptions().type("markers").name("Sensors").config(config).location(place).tooltip(True)
