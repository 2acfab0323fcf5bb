"""
Brings dashboards, folders and data source into an existing Grafana.

`stadspuls grafana push` calls `push` with the dashboards of `hub.grafana.model`. What is as it should be is left
alone, so that a second push changes nothing; what differs is shown line by line.
"""

import difflib
import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from grafana_api.grafana_api import GrafanaClientError, GrafanaException  # type: ignore[import-untyped]
from grafana_api.grafana_face import GrafanaFace  # type: ignore[import-untyped]
from requests.exceptions import RequestException

Plain = dict[str, Any]
VIEW, EDIT = 1, 2
_GRANTS = [{"role": "Viewer", "permission": VIEW}, {"role": "Editor", "permission": EDIT}]
# What Grafana adds by itself: not a difference.
_ITS_OWN = ("id", "version", "uid", "iteration", "preload", "schemaVersion")


class GrafanaRefused(Exception):  # noqa: N818 - the event is the name
    """Grafana could not be reached, or refused something; the text has the reason."""


class Change(NamedTuple):
    """One thing that is not as it should be: what, by which name, and the lines that differ."""

    what: str
    name: str
    difference: list[str]


class Grafana:
    """A Grafana by its address; `token` is a service account's, or `user:password`. Raises GrafanaRefused."""

    def __init__(self, address: str, token: str) -> None:
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"Grafana's address {address!r}, expected http(s)://host[:port][/path]")
        user, colon, password = token.partition(":")
        self._face = GrafanaFace(
            auth=(user, password) if colon else token, host=parts.hostname, port=parts.port, protocol=parts.scheme,
            url_path_prefix=f"{parts.path.strip('/')}/".lstrip("/"), timeout=20.0,
        )  # fmt: skip

    def push(
        self, dashboards: Mapping[str, Plain], folders: Mapping[str, str], source: Plain | None, dry: bool
    ) -> list[Change]:
        """
        Bring data source, folders with their permissions, and dashboards up to date; give what was or would be changed.

        `folders` says in which folder each dashboard is, by its uid. Viewers may look, editors may edit; what single
        users and teams may do stays. Raises GrafanaRefused.
        """
        try:
            changes = [*self._source(source, dry)] if source else []
            for title in dict.fromkeys(folders.values()):
                changes += self._folder(title, dry)
            for uid, dashboard in dashboards.items():
                changes += self._dashboard(uid, dashboard, folder_uid(folders[uid]), dry)
        except (GrafanaException, RequestException) as error:
            raise GrafanaRefused(f"Grafana: {error}") from error
        return changes

    def _source(self, source: Plain, dry: bool) -> Iterator[Change]:
        known = _or_none(lambda: self._face.datasource.find_datasource(source["name"])) or {}
        # Grafana does not give passwords back: where everything else is as it should be, so is the password.
        shown = {key: value for key, value in source.items() if key != "secureJsonData"}
        found = {key: known.get(key) for key in shown}
        if lines := _difference(found if known else None, shown):
            if not dry and known:
                self._face.datasource.update_datasource(known["id"], source)
            elif not dry:
                self._face.datasource.create_datasource(source)
            yield Change("data source", source["name"], lines)

    def _folder(self, title: str, dry: bool) -> Iterator[Change]:
        uid = folder_uid(title)
        known = _or_none(lambda: self._face.folder.get_folder(uid))
        if known is None:
            if not dry:
                self._face.folder.create_folder(title, uid)
            yield Change("folder", title, _difference(None, {"title": title}))
        given = [] if known is None else [_grant(one) for one in self._face.folder.get_folder_permissions(uid)]
        wanted = [*_GRANTS, *(one for one in given if one.get("role") not in ("Viewer", "Editor"))]
        if lines := _difference({"items": sorted(given, key=str)}, {"items": sorted(wanted, key=str)}):
            if not dry:
                self._face.folder.update_folder_permissions(uid, {"items": wanted})
            yield Change("permissions", title, lines)

    def _dashboard(self, uid: str, dashboard: Plain, folder: str, dry: bool) -> Iterator[Change]:
        known = _or_none(lambda: self._face.dashboard.get_dashboard(uid))
        before = None if known is None else _own(known["dashboard"]) | {"folder": known["meta"].get("folderUid")}
        if lines := _difference(before, _own(dashboard) | {"folder": folder}):
            if not dry:
                sent = {"dashboard": {**dashboard, "uid": uid, "id": None}, "folderUid": folder, "overwrite": True}
                self._face.dashboard.update_dashboard({**sent, "message": "stadspuls grafana push"})
            yield Change("dashboard", dashboard["title"], lines)


def folder_uid(title: str) -> str:
    """
    Name a folder, the same in every Grafana.

    >>> folder_uid("Stadspuls hub")
    'stadspuls-hub'
    """
    return "-".join("".join(sign if sign.isalnum() else " " for sign in title.lower()).split())


def _grant(given: Plain) -> Plain:
    """Give a folder's permission as Grafana takes it: who, and what."""
    return {key: given[key] for key in ("role", "userId", "teamId", "permission") if given.get(key)}


def _own(dashboard: Plain) -> Plain:
    return {key: value for key, value in dashboard.items() if key not in _ITS_OWN}


def _difference(before: Plain | None, after: Plain) -> list[str]:
    old, new = (
        [] if one is None else json.dumps(one, indent=1, sort_keys=True).splitlines() for one in (before, after)
    )
    return list(difflib.unified_diff(old, new, "in Grafana", "here", n=1, lineterm=""))


def _or_none(ask: Any) -> Plain | None:
    try:
        found: Plain = ask()
    except GrafanaClientError as error:
        if error.status_code == 404:
            return None
        raise
    return found
