"""
Errors as problem details (RFC 9457): what was found, what was expected, and never a trace.

`install` makes every error of an application one, also those that no code of ours raises.
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from aggregates.ask.dates import BadQuestion
from aggregates.ask.indicators import Refused
from aggregates.store.store import Away, Clash, Denied, Slow

MEDIA = "application/problem+json"


class Problem(HTTPException):
    """
    An answer that is an error: its status, a sentence for people, and what is wrong with which parameter.

    Each of `errors` says where the parameter stands (`in`), its `name`, and what is wrong (`detail`).
    """

    def __init__(
        self, status: int, detail: str, errors: Sequence[Mapping[str, str]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(status, detail, headers)
        self.errors = errors


def wrong(name: str, detail: str) -> Problem:
    """Make the problem of one parameter that cannot be right."""
    return Problem(400, f"{name}: {detail}", [{"in": "query", "name": name, "detail": detail}])


def answer(problem: Problem) -> JSONResponse:
    """Write a problem as a response."""
    status = problem.status_code
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": problem.detail}
    errors = {"errors": problem.errors} if problem.errors else {}
    return JSONResponse({**body, **errors}, status, problem.headers, media_type=MEDIA)


# What an error that is no Problem means: a status, and a sentence unless the error has one for people itself.
_MEANING: Mapping[type[Exception], tuple[int, str]] = {
    BadQuestion: (400, ""),
    Refused: (422, ""),
    Denied: (403, "the database role of this server may not read that"),
    Slow: (503, "the database took too long: ask for a shorter range or fewer sensors"),
    Away: (503, "the database does not answer, try again later"),
    Clash: (503, "the database does not answer, try again later"),
    OSError: (503, "no room for the answer, try again later"),
    Exception: (500, "a fault of the hub; its log has the details"),
}
_TEXTS = {
    404: "nothing at {request.url.path}, see openapi.json beside it for what there is",
    405: "{request.method}, expected GET, HEAD or OPTIONS: nothing can be changed here",
}


def install(app: FastAPI) -> None:
    """Let an application answer every error with a problem."""
    app.add_exception_handler(Problem, lambda _, problem: answer(cast(Problem, problem)))
    app.add_exception_handler(HTTPException, _of_routing)
    app.add_exception_handler(RequestValidationError, _of_parameters)
    for kind in _MEANING:
        app.add_exception_handler(kind, _of_failure)


def _of_failure(_: Request, error: Exception) -> Response:
    if isinstance(error, BadQuestion) and error.name:
        return answer(wrong(error.name, str(error)))
    status, text = next(_MEANING[kind] for kind in type(error).__mro__ if kind in _MEANING)
    return answer(Problem(status, text or str(error), headers={"Retry-After": "5"} if status == 503 else None))


def _of_routing(request: Request, error: Any) -> Response:
    text = _TEXTS.get(error.status_code, str(error.detail)).format(request=request)
    return answer(Problem(error.status_code, text, headers=error.headers))


def _of_parameters(_: Request, error: Any) -> Response:
    # A repeated parameter goes by its name, not by a number; a body that is no JSON has no name.
    places = [(str(one["loc"][0]), str([*one["loc"], "body"][1]), _text(one)) for one in error.errors()]
    errors = [{"in": where, "name": name, "detail": text} for where, name, text in places]
    return answer(Problem(400, "; ".join(f"{name}: {text}" for _, name, text in places), errors))


def _text(error: Mapping[str, Any]) -> str:
    if error["type"] == "extra_forbidden":
        return "no such parameter here"
    text = str(error["msg"]).removeprefix("Value error, ")
    return text[:1].lower() + text[1:]
