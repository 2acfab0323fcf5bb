"""
Alerts in the API: the lists of rules and silences, and the three things that may be changed.

Who acknowledges or silences needs the token, also where everyone may read, and a hub without a token lets nobody.
What is changed goes through `streams.notify.operators`, as on the command line; where the server's database role may
only read (`serve` in Compose) it is refused with 403.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pyarrow as pa
from fastapi import FastAPI, Request, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from aggregates.ask.columns import schema
from aggregates.ask.listings import ALERTS, Batches, Key
from aggregates.store.store import Store
from hub.web.api.parameters import Asked, Text
from hub.web.api.problems import Problem
from hub.web.api.stores import Stores
from streams.notify import operators

RULES = schema("rule title quantity unit level severity pack source? owner? runbook? channels")
SILENCES = schema("silence rule subject first last? weekly made_by reason")


def find_alerts(zone: ZoneInfo, store: Store, asked: Asked, after: Key | None, limit: int) -> Batches:
    """Give the alerts, the newest first; a silence is in the hub's own zone."""
    for batch in list(ALERTS.read(store, after, limit, **asked.filters())):
        pairs = list(zip(*(batch[name].to_pylist() for name in ("rule", "subject")), strict=True))
        quiet = operators.silenced(store, pairs, datetime.now(UTC), zone)
        states = [
            operators.state_of(str(one), hush) for one, hush in zip(batch["state"].to_pylist(), quiet, strict=True)
        ]
        place = batch.schema.get_field_index("state")
        yield batch.set_column(place, batch.schema.field(place), pa.array(states, pa.string()))


def find_rules(store: Store, _: Asked, after: Key | None, limit: int) -> Batches:
    """Give the rules that are judged, by name."""
    behind = "" if after is None else str(after[0])
    rows = [
        dict(zip(RULES.names, row, strict=True)) for row in store.rows("list_alert_rules", after=behind, limit=limit)
    ]
    yield pa.RecordBatch.from_pylist(rows, schema=RULES)


def find_silences(store: Store, _: Asked, after: Key | None, limit: int) -> Batches:
    """Give the silences that are or will be."""
    behind = 0 if after is None else after[0]
    found = [one for one in operators.silences(store, datetime.now(UTC)) if one.silence > behind][:limit]
    rows = [{**one._asdict(), "weekly": [str(part) for part in one.weekly]} for one in found]
    yield pa.RecordBatch.from_pylist([{name: row[name] for name in SILENCES.names} for row in rows], schema=SILENCES)


class Acknowledgement(BaseModel):
    """Who sees to an alert."""

    model_config = ConfigDict(extra="forbid")
    by: Text


class NewSilence(BaseModel):
    """What is kept quiet, when, by whom and why."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)
    rule: Text = "*"
    subject: Text = "*"
    first: AwareDatetime | None = Field(None, alias="from")
    last: AwareDatetime | None = Field(None, alias="to")
    weekly: list[Text] = []
    by: Text
    reason: Text


def add_actions(app: FastAPI, stores: Stores, check: Callable[[Request], None]) -> None:
    """Add what changes something; `check` raises Problem for a request without the token."""

    @app.post("/alerts/{alert}/ack", include_in_schema=False, status_code=204)
    def acknowledge(alert: int, said: Acknowledgement, request: Request) -> Response:
        check(request)
        with stores.lend() as store:
            if not operators.acknowledge(store, alert, said.by, datetime.now(UTC)):
                raise Problem(404, f"alert {alert} is not open")
        return Response(status_code=204)

    @app.post("/alerts/silences", include_in_schema=False, status_code=201)
    def silence(said: NewSilence, request: Request) -> Mapping[str, int]:
        check(request)
        if said.last is None and not said.weekly:
            raise Problem(400, "to or weekly, expected one of them: a silence without an end is forgotten")
        now = datetime.now(UTC)
        try:
            with stores.lend() as store:
                number = operators.silence(
                    store, rule=said.rule, subject=said.subject, first=said.first or now, last=said.last,
                    windows=said.weekly, by=said.by, reason=said.reason, now=now,
                )  # fmt: skip
        except ValueError as error:
            raise Problem(400, str(error)) from error
        return {"silence": number}

    @app.delete("/alerts/silences/{silence}", include_in_schema=False, status_code=204)
    def end_silence(silence: int, request: Request) -> Response:
        check(request)
        with stores.lend() as store:
            if not operators.end_silence(store, silence, datetime.now(UTC)):
                raise Problem(404, f"silence {silence} does not exist or is over")
        return Response(status_code=204)
