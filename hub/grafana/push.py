"""
Brings dashboards, folders and data source into an existing Grafana.

`stadspuls grafana push` calls `push` with the dashboards of `hub.grafana.dashboards`. What is as it should be is left
alone, so that a second push changes nothing; what differs is shown line by line.
"""

import difflib
import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from grafana_api.grafana_api import GrafanaClientError, GrafanaException  # type: ignore[import-untyped]
from grafana_api.grafana_face import GrafanaFace  # type: ignore[import-untyped]
from requests.exceptions import RequestException

from aggregates.ask.dates import BadQuestion
from ingest.vocabulary.values import raised_as

Plain = dict[str, Any]
Thing = tuple[str, str, Plain | None, Plain, Callable[[], object]]
# Who may view (1) and who may edit (2).
_GRANTS = [{"role": "Viewer", "permission": 1}, {"role": "Editor", "permission": 2}]
# What Grafana adds by itself: not a difference.
_ITS_OWN = ("id", "version", "uid", "iteration", "preload", "schemaVersion")


def push(
    address: str, token: str, dashboards: Mapping[str, tuple[str, Plain]], source: Plain | None, dry: bool
) -> list[tuple[str, list[str]]]:
    """
    Bring data source, folders with their permissions, and dashboards up to date.

    Gives what was or would be changed, each with the lines that differ. `token` is a service account's, or
    `user:password`; a dashboard has its folder before it. Viewers may look, editors may edit; what single users and
    teams may do stays. Raises ConnectionError with the reason, and BadQuestion for an address that is none.
    """
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadQuestion(f"Grafana's address {address!r}, expected http(s)://host[:port][/path]")
    user, colon, password = token.partition(":")
    grafana = GrafanaFace(
        auth=(user, password) if colon else token, host=parts.hostname, port=parts.port, protocol=parts.scheme,
        url_path_prefix=f"{parts.path.strip('/')}/".lstrip("/"), timeout=20.0,
    )  # fmt: skip
    changes = []
    with raised_as(ConnectionError, GrafanaException, RequestException, at="Grafana"):
        for what, name, before, after, change in _things(grafana, dashboards, source):
            if lines := _difference(before, after):
                changes.append((f"{what} {name}", lines))
                if not dry:
                    change()
    return changes


def _things(grafana: GrafanaFace, dashboards: Mapping[str, tuple[str, Plain]], source: Plain | None) -> Iterator[Thing]:
    """Yield each thing: what it is, its name, how it is in Grafana and how it should be, and what makes it so."""
    if source:
        known = _or_none(partial(grafana.datasource.find_datasource, source["name"]))
        # Grafana does not give passwords back: where everything else is as it should be, so is the password.
        shown = {key: value for key, value in source.items() if key != "secureJsonData"}
        found = known and {key: known.get(key) for key in shown}
        create = partial(grafana.datasource.create_datasource, source)
        renew = known and partial(grafana.datasource.update_datasource, known["id"], source)
        yield "data source", source["name"], found, shown, renew or create
    folders = {title: title.lower().replace(" ", "-") for title, _ in dashboards.values()}
    for title, uid in folders.items():
        known = _or_none(partial(grafana.folder.get_folder, uid))
        if known is None:
            yield "folder", title, None, {"title": title}, partial(grafana.folder.create_folder, title, uid)
        given = [] if known is None else [
            {key: one[key] for key in ("role", "userId", "teamId", "permission") if one.get(key)}
            for one in grafana.folder.get_folder_permissions(uid)
        ]  # fmt: skip
        wanted = [*_GRANTS, *(one for one in given if one.get("role") not in ("Viewer", "Editor"))]
        renew = partial(grafana.folder.update_folder_permissions, uid, {"items": wanted})
        yield "permissions", title, {"items": sorted(given, key=str)}, {"items": sorted(wanted, key=str)}, renew
    for uid, (title, dashboard) in dashboards.items():
        folder = folders[title]
        known = _or_none(partial(grafana.dashboard.get_dashboard, uid))
        found = known and _own(known["dashboard"]) | {"folder": known["meta"].get("folderUid")}
        sent = {"dashboard": {**dashboard, "uid": uid, "id": None}, "folderUid": folder, "overwrite": True}
        renew = partial(grafana.dashboard.update_dashboard, {**sent, "message": "stadspuls grafana push"})
        yield "dashboard", dashboard["title"], found, _own(dashboard) | {"folder": folder}, renew


def _own(dashboard: Plain) -> Plain:
    return {key: value for key, value in dashboard.items() if key not in _ITS_OWN}


def _difference(before: Plain | None, after: Plain) -> list[str]:
    old, new = (
        [] if one is None else json.dumps(one, indent=1, sort_keys=True).splitlines() for one in (before, after)
    )
    return list(difflib.unified_diff(old, new, "in Grafana", "here", n=1, lineterm=""))


def _or_none(ask: Callable[[], Plain]) -> Plain | None:
    try:
        return ask()
    except GrafanaClientError as error:
        if error.status_code == 404:
            return None
        raise
