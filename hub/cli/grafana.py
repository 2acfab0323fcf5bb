"""
Grafana on the command line: `grafana push` into one that is there, `grafana write` for one that reads files.
"""

import json
from pathlib import Path
from urllib.parse import unquote, urlsplit

from aggregates.ask.query import BadQuestion
from hub.cli.common import command, group
from hub.cli.output import errors
from hub.settings.settings import Settings

grafana_app = group("grafana", "Dashboards for Grafana.")


@command(grafana_app, "push", "grafana_url", "grafana_token", "grafana_database")
def grafana_push(settings: Settings, dry_run: bool = False) -> None:
    """Bring dashboards, folders and data source of an existing Grafana up to date; a second time changes nothing."""
    from hub.grafana.model import dashboards, pages
    from hub.grafana.push import push

    if settings.grafana_url is None or settings.grafana_token is None:
        raise BadQuestion("no --grafana-url or no --grafana-token, expected both (or STADSPULS_GRAFANA_URL, ..._TOKEN)")
    database = settings.grafana_database
    try:
        source = data_source(database.get_secret_value()) if database else None
        folders = {uid: page.folder for uid, page in pages().items()}
        token = settings.grafana_token.get_secret_value()
        changes = push(settings.grafana_url, token, dashboards(), folders, source, dry=dry_run)
    except ValueError as error:
        raise BadQuestion(str(error)) from error
    for changed, difference in changes:
        errors.print(changed)
        if dry_run:
            print("\n".join(difference))
    errors.print(f"{len(changes)} {'to change' if dry_run else 'changed'}")


@command(grafana_app, "write")
def grafana_write(_settings: Settings, out: Path) -> None:
    """Write the dashboards as files, for a Grafana that reads them from a directory."""
    from hub.grafana.model import dashboards, pages

    folders = {uid: page.folder for uid, page in pages().items()}
    for uid, dashboard in dashboards().items():
        path = out / folders[uid] / f"{uid}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(dashboard, indent=1, sort_keys=True, ensure_ascii=False) + "\n", "utf-8")
    errors.print(f"{len(folders)} dashboards in {out}")


def data_source(url: str) -> dict[str, object]:
    """Describe the database to Grafana; raises ValueError for what is no postgresql:// URL with a user."""
    parts = urlsplit(url)
    if parts.scheme not in ("postgresql", "postgres") or not parts.hostname or not parts.username:
        raise ValueError("grafana_database is not postgresql://user:password@host[:port]/database")
    return {
        "name": "Stadspuls", "uid": "stadspuls", "type": "grafana-postgresql-datasource", "access": "proxy",
        "url": f"{parts.hostname}:{parts.port or 5432}", "user": unquote(parts.username), "isDefault": False,
        "jsonData": {"database": parts.path.lstrip("/"), "sslmode": "prefer", "postgresVersion": 1500},
        "secureJsonData": {"password": unquote(parts.password or "")},
    }  # fmt: skip
