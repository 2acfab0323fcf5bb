"""
One answer, from the rows of a resource to a response: connection, page, form, ETag, and a bound on memory.

An answer is written to a file that is in memory while it is small, and only then sent. So the database is done with
before a slow client is, an error in the middle is an error and not half an answer, and the ETag is of the content.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from hashlib import blake2b
from queue import Empty, LifoQueue
from typing import Any, TypeVar

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from fastapi import Request, Response
from fastapi.responses import StreamingResponse
from starlette.staticfiles import NotModifiedResponse, StaticFiles

from aggregates.ask.dates import NO_AREAS
from aggregates.ask.listings import COLUMNS
from aggregates.ask.series import STAMP, local
from aggregates.export.forms import write
from aggregates.export.objects import CRS84, RD, objects
from aggregates.store.errors import Away, Slow
from aggregates.store.store import Store
from hub.web.api.paging import Body, PageRows, decoded
from hub.web.api.parameters import Query, chosen
from hub.web.api.problems import Problem, wrong
from hub.web.api.resources import FORMS, PAGED, Resource

T = TypeVar("T")
MOST_COUNTED = 250_000  # rows, as many as an answer holds
_HEADERS = {"rolling_up": "Rolling-Up", "note": "Note", "count": "Total-Count"}  # of what is said beside the rows
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


def answer(request: Request, resource: Resource, asked: Query, stores: Stores, zone: str) -> Response:
    """Answer one request; raises Problem, or what the store raises."""
    arguments = asked.arguments(zone, resource.window, resource.days)
    form, crs = _form(request, resource, asked), _system(request, arguments.pop("crs", None))
    bulk = resource.whole(form)
    most, limit = bulk or resource.most, asked.limit or bulk or resource.page
    if limit > most:
        raise wrong("limit", f"{limit}, expected at most {most} in this form")
    after = decoded(asked.cursor, [COLUMNS[name][0] for name in resource.key]) if asked.cursor else None

    if "shapes" in arguments:
        arguments["shapes"] = bool(arguments["shapes"]) or form == "geojson"

    def fetch(store: Store) -> tuple[Body, PageRows]:
        with closing(resource.find(store, after, limit + 1, **arguments)) as found:
            rows = PageRows(found, resource.shown(arguments), resource.key, limit)
            if resource.is_waiting(store, arguments):
                rows.notes["rolling_up"] = True
            if asked.count:
                counted = resource.find(store, None, MOST_COUNTED + 1, **arguments)
                rows.notes["count"] = sum(batch.num_rows for batch in counted)
                if rows.notes["count"] > MOST_COUNTED:
                    raise wrong("count", f"more than {MOST_COUNTED} rows, expected a narrower question")

            def tables() -> Iterator[pa.Table]:
                yield from (_local(table, zone) if asked.local else table for table in rows)
                if not rows.count and resource.lacks_areas(store, arguments):
                    rows.notes["note"] = NO_AREAS

            return _written(request, tables(), rows, form, crs, zone), rows

    body, rows = stores.ask(fetch)
    if rows.next and asked.limit is None and bulk:
        body.drop()
        raise wrong("limit", f"more than {limit} rows: ask for a shorter range, or for pages with limit and cursor")
    return _response(request, form, crs, body, rows.notes, rows.next)


def _form(request: Request, resource: Resource, asked: Query) -> str:
    offered = resource.forms
    if asked.format and asked.format not in offered:
        raise wrong("format", f"{asked.format}, expected one of {', '.join(offered)}")
    form = asked.format or chosen(", ".join(request.headers.getlist("accept")), offered)
    if form is None:
        raise Problem(406, f"expected to accept one of {', '.join(offered.values())}")
    return form


def item(request: Request, resource: Resource, key: str, asked: Query, stores: Stores, zone: str) -> Response:
    """Answer with the one row of a key, as an object; raises Problem 404 where there is none."""
    if (form := _form(request, resource, asked)) not in PAGED:
        raise Problem(406, f"expected one of {', '.join(FORMS[name] for name in PAGED)}")
    arguments = asked.arguments(zone, resource.window, resource.days)
    crs = _system(request, arguments.pop("crs", None))
    if resource.item:
        arguments[resource.item] = key if resource.item == "area" else [key]

    def fetch(store: Store) -> pa.Table | None:
        for batch in resource.find(store, None, MOST_COUNTED, **arguments):
            found = batch.filter(pc.equal(batch[resource.key[0]], pa.scalar(key)))
            if found.num_rows:
                return pa.Table.from_batches([found.select(resource.columns.names)])
        return None

    if (row := stores.ask(fetch)) is None:
        raise Problem(404, f"{resource.path}: nothing with the {resource.key[0]} {key!r}")
    body = Body()
    body.write(msgspec.json.encode(objects(_local(row, zone) if asked.local else row, form, crs, resource.key)[0]))
    return _response(request, form, crs, body, {}, None)


def _local(table: pa.Table, zone: str) -> pa.Table:
    """Write the stamps of a table in a time zone."""
    for at, column in enumerate(table.schema):
        if column.type == STAMP:
            table = table.set_column(at, column.name, local(table.column(at), zone))
    return table


def _system(request: Request, asked: str | None) -> str:
    found = asked or request.headers.get("accept-crs", CRS84).strip("<> ")
    if found not in (CRS84, RD):
        raise Problem(406, f"expected Accept-Crs: {CRS84} or {RD}")
    return found


def _written(request: Request, tables: Iterator[pa.Table], rows: PageRows, form: str, crs: str, zone: str) -> Body:
    def beside() -> dict[str, Any]:
        shown = {"next": rows.next, **rows.notes}
        if form == "json":
            return shown
        # As OGC API Features has them: GDAL follows `next`.
        pages = [("self", request.url)]
        pages += [("next", request.url.include_query_params(cursor=rows.next))] if rows.next else []
        links = [{"rel": rel, "href": str(url), "type": FORMS["geojson"]} for rel, url in pages]
        return {"links": links, "numberReturned": rows.count, **shown}

    body = Body()
    try:
        write(form, tables, body, zone, beside if form in PAGED else None, crs=crs, key=rows.key)
    except BaseException:
        body.drop()
        raise
    return body


def _response(
    request: Request, form: str, crs: str, body: Body, notes: Mapping[str, Any], cursor: str | None
) -> Response:  # fmt: skip
    headers = {"Content-Length": str(body.tell())}
    if form not in PAGED:
        headers["Content-Disposition"] = f'attachment; filename="{_file_name(request, form)}"'
    if form == "geojson":
        headers["Content-Crs"] = f"<{crs}>"
    for name, text in notes.items():
        headers[_HEADERS[name]] = "true" if text is True else str(text)
    if cursor:
        url = request.url.include_query_params(cursor=cursor)
        headers["Link"] = f'<{url.path}?{url.query}>; rel="next"'
    whole = StreamingResponse(body.chunks(), media_type=FORMS[form], headers=headers)
    if (found := tagged(request, whole, body.tag())) is not whole:
        body.drop()
    return found


def tagged(request: Request, found: Response, tag: str = "") -> Response:
    """Give an answer with its ETag, by default a hash of its body; or say that the client has it."""
    tag = tag or f'"{blake2b(bytes(found.body), digest_size=16).hexdigest()}"'
    found.headers.update({"ETag": tag, "Vary": "Accept, Authorization", "Cache-Control": "private, no-cache"})
    known = StaticFiles(check_dir=False).is_not_modified(found.headers, request.headers)
    return NotModifiedResponse(found.headers) if known else found


def _file_name(request: Request, form: str) -> str:
    """Give a name that says what is in a file: the list, and what was asked for."""
    asked = [value for name, value in request.query_params.multi_items() if name not in ("format", "limit", "cursor")]
    words = [request.url.path.rpartition("/api/v1/")[2], *asked]
    return f"{re.sub(r'[^A-Za-z0-9_.,-]+', '-', '_'.join(words))[:150]}.{form.removesuffix('-nl')}"
