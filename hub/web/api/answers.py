"""
One answer, from the rows of a resource to a response: connection, page, form, ETag, and a bound on memory.

An answer is written to a file that is in memory while it is small, and only then sent. So the database is done with
before a slow client is, an error in the middle is an error and not half an answer, and the ETag is of the content.
"""

import hashlib
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import partial
from http import HTTPStatus
from queue import Empty, LifoQueue
from typing import Any, TypeVar

import pyarrow as pa
from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from aggregates.ask.areas import NO_AREAS
from aggregates.ask.listings import COLUMNS
from aggregates.ask.query import is_waiting
from aggregates.export.forms import write
from aggregates.store.store import Away, Slow, Store
from hub.web.accept import chosen
from hub.web.api.paging import PageRows, decoded
from hub.web.api.parameters import Query
from hub.web.api.problems import Problem, wrong
from hub.web.api.resources import FORMS, PAGED, Resource

T = TypeVar("T")
CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
SMALL = 1 << 20  # bytes of an answer that stay in memory
CHUNK = 1 << 16
WAIT = 10.0  # s for a connection


class Stores:
    """
    Connections of the API: at most `most`, each opened when it is first needed, one lent to each answer.

    However many requests come, the database has no more than these to serve; the others wait.
    """

    def __init__(self, make: Callable[[], Store], most: int = 8) -> None:
        self._free: LifoQueue[Store] = LifoQueue()
        for _ in range(most):
            self._free.put(make())

    @contextmanager
    def lend(self) -> Iterator[Store]:
        """Lend a store; raises Problem 503 where none comes free. One whose use failed is closed."""
        try:
            store = self._free.get(timeout=WAIT)
        except Empty:
            again = {"Retry-After": "5"}
            raise Problem(503, "too many requests at once, try again later", headers=again) from None
        try:
            yield store
        except BaseException:
            store.close()
            raise
        finally:
            self._free.put(store)

    def ask(self, question: Callable[[Store], T]) -> T:
        """Answer a question; once more with a new connection, as a kept one may be from before a database's restart."""
        with self.lend() as store:
            try:
                return question(store)
            except Slow:
                raise
            except Away:
                store.close()
                return question(store)

    def close(self) -> None:
        """Close those that are not lent."""
        while not self._free.empty():
            self._free.get().close()


class Body(tempfile.SpooledTemporaryFile[bytes]):
    """A file being written: in memory while small, on disk beyond."""

    def __init__(self) -> None:
        super().__init__(SMALL)

    def close(self) -> None:
        """Do nothing: writers close what they write to, but this is still to be read."""

    def drop(self) -> None:
        """Delete it unread."""
        super().close()

    def tag(self) -> str:
        """Give the ETag: a hash of the content."""
        self.seek(0)
        return f'"{hashlib.file_digest(self, partial(hashlib.blake2b, digest_size=16)).hexdigest()}"'

    def chunks(self) -> Iterator[bytes]:
        """Give what was written, once, and delete it."""
        with self:
            self.seek(0)
            while data := self.read(CHUNK):
                yield data


def answer(request: Request, resource: Resource, asked: Query, stores: Stores, zone: str) -> Response:
    """Answer one request; raises Problem, or what the store raises."""
    arguments = asked.arguments(zone, resource.window, resource.days)
    form = _form(request, resource, asked)
    bulk = 0 if form in PAGED else resource.bulk
    most, limit = bulk or resource.most, asked.limit or bulk or resource.page
    if limit > most:
        raise wrong("limit", f"{limit}, expected at most {most} in this form")
    after = decoded(asked.cursor, [COLUMNS[name][0] for name in resource.key]) if asked.cursor else None

    def fetch(store: Store) -> tuple[Body, PageRows]:
        with closing(resource.find(store, after, limit + 1, **arguments)) as found:
            rows = PageRows(found, resource.columns, resource.key, limit)
            if _is_waiting(store, resource, arguments):
                rows.notes["rolling_up"] = True
            return _written(rows, form, partial(_lacks_areas, store, resource, arguments)), rows

    body, rows = stores.ask(fetch)
    if rows.next and asked.limit is None and bulk:
        body.drop()
        raise wrong("limit", f"more than {limit} rows: ask for a shorter range, or for pages with limit and cursor")
    return _response(request, form, body, rows)


def _is_waiting(store: Store, resource: Resource, asked: Mapping[str, Any]) -> bool:
    window = asked.get("window", resource.window)
    areas = "sensors" not in asked
    return bool(window) and is_waiting(store, asked["first"], asked["last"], window, areas=areas)


def _lacks_areas(store: Store, resource: Resource, asked: Mapping[str, Any]) -> bool:
    about = "area" in resource.path or asked.get("area") is not None
    return about and store.rows("read_newest_vintage") == [(None,)]


def _form(request: Request, resource: Resource, asked: Query) -> str:
    offered = resource.forms
    if asked.format and asked.format not in offered:
        raise wrong("format", f"{asked.format}, expected one of {', '.join(offered)}")
    form = asked.format or chosen(", ".join(request.headers.getlist("accept")), offered)
    if form is None:
        raise Problem(406, f"expected to accept one of {', '.join(offered.values())}")
    if form == "geojson" and not asked.format and request.headers.get("accept-crs", CRS84).strip("<> ") != CRS84:
        raise Problem(406, f"expected Accept-Crs: {CRS84}")
    return form


def _written(rows: PageRows, form: str, lacks_areas: Callable[[], bool]) -> Body:
    def tables() -> Iterator[pa.Table]:
        yield from rows
        if rows.empty and lacks_areas():
            rows.notes["note"] = NO_AREAS

    body = Body()
    try:
        write(form, tables(), body, beside=(lambda: {"next": rows.next, **rows.notes}) if form in PAGED else None)
    except BaseException:
        body.drop()
        raise
    return body


def _response(request: Request, form: str, body: Body, rows: PageRows) -> Response:
    size, tag = body.tell(), body.tag()
    headers = {"ETag": tag, "Vary": "Accept, Authorization", "Cache-Control": "private, no-cache"}
    if form == "geojson":
        headers["Content-Crs"] = f"<{CRS84}>"
    if "rolling_up" in rows.notes:
        headers["Rolling-Up"] = "true"
    if "note" in rows.notes:
        headers["Note"] = rows.notes["note"]
    if rows.next:
        headers["Link"] = f'<{_next(request, rows.next)}>; rel="next"'
    if _known(request.headers.get("if-none-match", ""), tag):
        body.drop()
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    headers["Content-Length"] = str(size)
    return StreamingResponse(body.chunks(), media_type=FORMS[form], headers=headers)


def _next(request: Request, cursor: str) -> str:
    url = request.url.include_query_params(cursor=cursor)
    return f"{url.path}?{url.query}"


def _known(header: str, tag: str) -> bool:
    """
    Tell whether a client has this already (RFC 9110, 13.1.2; the comparison is weak).

    >>> _known('W/"a", "b"', '"a"'), _known("*", '"a"'), _known('"b"', '"a"')
    (True, True, False)
    """
    return any(one.strip().removeprefix("W/") in (tag, "*") for one in header.split(","))
