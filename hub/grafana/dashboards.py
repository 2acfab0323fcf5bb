"""
The dashboards: `pages/*.toml` in Grafana's own words, put over `pages/shape.json`, which has what all of them share.

`hub.grafana.push` sends them, `stadspuls grafana write` writes them as files when Grafana's image is built. Every panel
has one SQL statement over the views of docs/analysts.md, run as the role that may only read; `limits` are from which
value on it has which colour. `alerts` of a page is an SQL condition on the table `alert` (as `a`): which alerts are
annotations in its graphs. Tests read all of it with Grafana's typed model.

The statement of a time series gives `time`, `end`, `metric` and `value`, a row a window: where windows are missing
between two it gets a row without a value, so that Grafana draws no line over what was not measured. `$level` in it
stands for 5m, 1h or 1d, by the length of the range that is looked at.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ingest.vocabulary.values import read_toml

PAGES = Path(__file__).with_name("pages")
COLUMNS = 24  # of a dashboard
Plain = dict[str, Any]


def dashboards() -> dict[str, tuple[str, Plain]]:
    """Give every dashboard by uid: its folder, and the JSON that Grafana stores."""
    found = {path.stem: read_toml(path, Plain) for path in sorted(PAGES.glob("stadspuls-*.toml"))}
    shape, known = json.loads((PAGES / "shape.json").read_text("utf-8")), read_toml(PAGES / "variables.toml", Plain)
    return {uid: (page["folder"], _dashboard(uid, page, shape, known)) for uid, page in found.items()}


def _dashboard(uid: str, page: Plain, shape: Plain, known: Plain) -> Plain:
    own = {"folder", "variables", "alerts", "panel"}
    variables = [_variable(name, known[name], shape) for name in page["variables"]]
    made: Plain = {"uid": uid, "panels": list(_placed(_panel(one, shape) for one in page["panel"]))}
    made |= {"templating": {"list": variables}}
    if condition := page.get("alerts"):
        target = _over(shape["query"], {"rawSql": around("alerts", condition)})
        made["annotations"] = {"list": [shape["annotation"] | {"target": target}]}
    return _over(shape["dashboard"], {key: value for key, value in page.items() if key not in own} | made)


def _variable(name: str, own: Plain, shape: Plain) -> Plain:
    asked = {} if own.get("type") == "custom" else shape["query variable"]
    return {**shape["variable"], **asked, **own, "name": name, "query": own["query"].strip()}


def _panel(own: Plain, shape: Plain) -> Plain:
    drawn, sql, limits = own["type"] == "timeseries", own.pop("sql").strip(), own.pop("limits", [])
    query = {"rawSql": around("gaps", sql), "format": "time_series"} if drawn else {"rawSql": sql}
    made = _over(_over(shape["panel"], shape.get(own["type"], {})), own)
    if limits:
        lowest = [{"value": None, "color": "transparent" if drawn else limits.pop(0)[1]}]
        steps = lowest + [{"value": value, "color": color} for value, color in limits]
        style = {"custom": {"thresholdsStyle": {"mode": "line"}}} if drawn else {}
        shown = {"defaults": {"thresholds": {"mode": "absolute", "steps": steps}, **style}}
        made = _over(made, {"fieldConfig": shown})
    return made | {"targets": [_over(shape["query"], query)]}


def _placed(panels: Iterable[Plain]) -> Iterator[Plain]:
    """Put panels side by side while they fit, then below."""
    x = y = below = 0
    for panel in panels:
        width, height = panel["gridPos"]["w"], panel["gridPos"]["h"]
        if x + width > COLUMNS:
            x, y = 0, below
        yield panel | {"gridPos": {"x": x, "y": y, "w": width, "h": height}}
        x, below = x + width, max(below, y + height)


def around(name: str, sql: str) -> str:
    """Put a statement into one of the folder of pages, without its comment."""
    return ((PAGES / f"{name}.sql").read_text("utf-8").partition("\n")[2] % sql).strip()


def _over(base: Plain, own: Plain) -> Plain:
    """Put values over others, member by member."""
    both = {key: _over(base[key], own[key]) for key in base.keys() & own.keys() if isinstance(own[key], dict)}
    return base | own | both
