"""
Errors as problem details (RFC 9457): what was found, what was expected, and never a trace.

`install` makes every error of an application one, also those that no code of ours raises.
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from aggregates.ask.indicators import Refused
from aggregates.ask.query import BadQuestion
from aggregates.store.store import Away, Clash, Denied, Slow

MEDIA = "application/problem+json"
_AGAIN = {"Retry-After": "5"}
_TEXTS = {
    404: "nothing at {request.url.path}, see openapi.json beside it for what there is",
    405: "{request.method}, expected GET, HEAD or OPTIONS: nothing can be changed here",
}


class Fault(BaseModel):
    """What is wrong with one parameter."""

    where: str = Field(serialization_alias="in")
    name: str
    detail: str


class ProblemDetails(BaseModel):
    """The body of an answer that is an error (RFC 9457)."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str = Field(description="what was found and what was expected")
    errors: list[Fault] = []


class Problem(Exception):  # noqa: N818 - the word of RFC 9457
    """An answer that is an error: its status, a sentence for people, and what is wrong with which parameter."""

    def __init__(
        self, status: int, detail: str, errors: Sequence[Fault] = (), headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.errors, self.headers = status, detail, list(errors), headers


def wrong(name: str, detail: str) -> Problem:
    """Make the problem of one parameter that cannot be right."""
    return Problem(400, f"{name}: {detail}", [Fault(where="query", name=name, detail=detail)])


def answer(problem: Problem) -> JSONResponse:
    """Write a problem as a response."""
    title = HTTPStatus(problem.status).phrase
    body = ProblemDetails(title=title, status=problem.status, detail=problem.detail, errors=problem.errors)
    left_out = None if problem.errors else {"errors"}
    return JSONResponse(
        body.model_dump(by_alias=True, exclude=left_out), problem.status, problem.headers, media_type=MEDIA
    )


def install(app: FastAPI) -> None:
    """Let an application answer every error with a problem."""

    def handle(request: Request, error: Exception) -> Response:
        return answer(_problem(request, error))

    for kind in (Problem, HTTPException, RequestValidationError, BadQuestion, Refused, Away, Clash, OSError, Exception):
        app.add_exception_handler(kind, handle)


def _problem(request: Request, error: Exception) -> Problem:
    match error:
        case Problem():
            return error
        case RequestValidationError():
            return _invalid(error)
        case HTTPException():
            text = _TEXTS.get(error.status_code, str(error.detail))
            return Problem(error.status_code, text.format(request=request), headers=error.headers)
        case BadQuestion():
            return Problem(400, str(error))
        case Refused():
            return Problem(422, str(error))
        case Denied():
            return Problem(403, "the database role of this server may not read that")
        case Slow():
            return Problem(503, "the database took too long: ask for a shorter range or fewer sensors", headers=_AGAIN)
        case Away() | Clash():
            return Problem(503, "the database does not answer, try again later", headers=_AGAIN)
        case OSError():
            return Problem(503, "no room for the answer, try again later", headers=_AGAIN)
        case _:
            return Problem(500, "a fault of the hub; its log has the details")


def _invalid(error: RequestValidationError) -> Problem:
    # A repeated parameter goes by its name, not by a number; what concerns several goes by `from`.
    errors = [
        Fault(where=str(one["loc"][0]), name=str([*one["loc"], "from"][1]), detail=_text(one)) for one in error.errors()
    ]
    return Problem(400, "; ".join(f"{one.name}: {one.detail}" for one in errors), errors)


def _text(error: Mapping[str, Any]) -> str:
    if error["type"] == "extra_forbidden":
        return "no such parameter here"
    text = str(error["msg"]).removeprefix("Value error, ")
    return text[:1].lower() + text[1:]
