"""
What may be changed through the API: alerts are acknowledged, silences made and ended.

That needs the token, also where everyone may read; a hub without a token refuses it. `streams.notify.operators` makes
the change, as for the command line. Where the server's database role may only read (`serve` in Compose) the answer is
403.
"""

from collections.abc import Mapping
from datetime import UTC, datetime

from fastapi import APIRouter, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from hub.web.api.answers import Stores
from hub.web.api.parameters import Text
from hub.web.api.problems import Problem
from streams.notify import operators


class Acknowledgement(BaseModel):
    """Who acknowledges an alert."""

    model_config = ConfigDict(extra="forbid")
    by: Text


class NewSilence(BaseModel):
    """Which alerts are silenced, when, by whom and why."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)
    rule: Text = "*"
    subject: Text = "*"
    first: AwareDatetime | None = Field(None, alias="from")
    last: AwareDatetime | None = Field(None, alias="to")
    weekly: list[Text] = []
    by: Text
    reason: Text


def actions(stores: Stores) -> APIRouter:
    """Give what changes something; `hub.web.api.app` lets in only requests with the token."""
    actions = APIRouter(prefix="/alerts", include_in_schema=False)

    @actions.post("/{alert}/ack", status_code=204)
    def acknowledge(alert: int, wanted: Acknowledgement) -> Response:
        with stores.lend() as store:
            if not operators.acknowledge(store, alert, wanted.by, datetime.now(UTC)):
                raise Problem(404, f"alert {alert} is not open")
        return Response(status_code=204)

    @actions.post("/silences", status_code=201)
    def silence(wanted: NewSilence) -> Mapping[str, int]:
        now = datetime.now(UTC)
        try:
            with stores.lend() as store:
                number = operators.silence(
                    store, rule=wanted.rule, subject=wanted.subject, first=wanted.first or now, last=wanted.last,
                    windows=wanted.weekly, by=wanted.by, reason=wanted.reason, now=now,
                )  # fmt: skip
        except ValueError as error:
            raise Problem(400, str(error)) from error
        return {"silence": number}

    @actions.delete("/silences/{silence}", status_code=204)
    def end_silence(silence: int) -> Response:
        with stores.lend() as store:
            if not operators.end_silence(store, silence, datetime.now(UTC)):
                raise Problem(404, f"silence {silence} does not exist or is over")
        return Response(status_code=204)

    return actions
