"""
Errors as problem details (RFC 9457): what was found, what was expected, and never a trace.

`install` makes every error of an application one, also those that no code of ours raises. They are written in English;
`dutch.toml` has them in Dutch, for whoever prefers it.
"""

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from aggregates.ask.dates import BadQuestion
from aggregates.ask.indicators import Refused
from aggregates.store.errors import Away, Clash, Denied, Slow
from hub.web.api.parameters import preferred
from ingest.vocabulary.values import shipped_toml

MEDIA = "application/problem+json"
_LONGEST = 2_000  # letters that are translated: looking takes as long as the square of them
_DUTCH = shipped_toml(__file__, "dutch.toml")
# What an error may say, with a group for each of its {holes}, and what that is in Dutch.
_SAID = [
    (re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+)", re.escape(text)), re.DOTALL), dutch)
    for text, dutch in _DUTCH["detail"].items()
]


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


def in_dutch(text: str) -> str:
    """
    Translate what an error says; what `dutch.toml` does not have stays English, and so does what is very long.

    >>> in_dutch("40 days before to, expected at most 31 days"), in_dutch("no match")
    ('40 dagen voor to, verwacht hoogstens 31 dagen', 'no match')
    """
    found = ((pattern.fullmatch(text), dutch) for pattern, dutch in _SAID if len(text) <= _LONGEST)
    return next((dutch.format(**match.groupdict()) for match, dutch in found if match), text)


def answer(problem: Problem, asked: Mapping[str, str]) -> JSONResponse:
    """Write a problem as a response, in the language that the headers of the request prefer."""
    status, language = problem.status_code, preferred(asked, ("en", "nl"))
    say = in_dutch if language == "nl" else str
    title = _DUTCH["title"].get(str(status)) if language == "nl" else None
    errors = [{**one, "detail": say(one["detail"])} for one in problem.errors]
    detail = "; ".join(f"{one['name']}: {one['detail']}" for one in errors) or say(problem.detail)
    body = {"type": "about:blank", "title": title or HTTPStatus(status).phrase, "status": status, "detail": detail}
    headers = {**(problem.headers or {}), "Content-Language": language, "Vary": "Accept-Language"}
    return JSONResponse({**body, **({"errors": errors} if errors else {})}, status, headers, media_type=MEDIA)


# What an error that is no Problem means: a status, and a sentence unless the error has one for people itself.
_MEANING: Mapping[type[Exception], tuple[int, str]] = {
    BadQuestion: (400, ""), Refused: (422, ""), Denied: (403, "the database role of this server may not read that"),
    Slow: (503, "the database took too long: ask for a shorter range or fewer sensors"),
    Away: (503, "the database does not answer, try again later"),
    Clash: (503, "the database does not answer, try again later"),
    OSError: (503, "no room for the answer, try again later"),
    Exception: (500, "a fault of the hub; its log has the details"),
}  # fmt: skip
_TEXTS = {
    404: "nothing at {request.url.path}, see openapi.json beside it for what there is",
    405: "{request.method}, expected GET, HEAD or OPTIONS: nothing can be changed here",
}


def install(app: FastAPI) -> None:
    """Let an application answer every error with a problem."""
    app.add_exception_handler(Problem, lambda request, problem: answer(cast(Problem, problem), request.headers))
    app.add_exception_handler(HTTPException, _of_routing)
    app.add_exception_handler(RequestValidationError, _of_parameters)
    for kind in _MEANING:
        app.add_exception_handler(kind, _of_failure)


def _of_failure(request: Request, error: Exception) -> Response:
    if isinstance(error, BadQuestion) and error.name:
        return answer(wrong(error.name, str(error)), request.headers)
    status, text = next(_MEANING[kind] for kind in type(error).__mro__ if kind in _MEANING)
    later = {"Retry-After": "5"} if status == 503 else None
    return answer(Problem(status, text or str(error), headers=later), request.headers)


def _of_routing(request: Request, error: Any) -> Response:
    text = _TEXTS.get(error.status_code, str(error.detail)).format(request=request)
    return answer(Problem(error.status_code, text, headers=error.headers), request.headers)


def _of_parameters(request: Request, error: Any) -> Response:
    # A repeated parameter goes by its name, not by a number; a body that is no JSON has no name.
    places = [(str(one["loc"][0]), str([*one["loc"], "body"][1]), _text(one)) for one in error.errors()]
    errors = [{"in": where, "name": name, "detail": text} for where, name, text in places]
    return answer(Problem(400, "", errors), request.headers)


def _text(error: Mapping[str, Any]) -> str:
    if error["type"] == "extra_forbidden":
        return "no such parameter here"
    text = str(error["msg"]).removeprefix("Value error, ")
    return text[:1].lower() + text[1:]
