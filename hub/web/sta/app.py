"""
The application below `/sta/v1.1`: from a path to entities, one entity, a property or references, and to an answer.

`hub.web.http` mounts it. It has the API's machinery: who may read, connections, problems.
"""

import re
from collections.abc import Sequence
from decimal import Decimal
from functools import partial
from itertools import groupby
from typing import Any, NamedTuple

import msgspec
from fastapi import FastAPI, Request, Response
from starlette.types import ASGIApp

from aggregates.store.errors import Refused, Slow
from aggregates.store.store import Store
from hub.settings.settings import Settings
from hub.settings.values import url_host
from hub.web.admission import STA, Access
from hub.web.api.answers import Stores, tagged
from hub.web.api.app import admitted
from hub.web.api.problems import Problem, install, wrong
from hub.web.sta.entities import CONFORMANCE, SETS, TOO_LONG, UPDATES, EntitySet, keys
from hub.web.sta.options import Options, asked
from hub.web.sta.reading import OBSERVATIONS, Link, Reader, as_id, counted, shown
from ingest.mqtt.address import Address


class Place(NamedTuple):
    """Where a path leads: the entities of a set, or of a link alone; `one` where it is a single one."""

    of: EntitySet
    link: Link | None
    one: bool


def sensorthings(settings: Settings, stores: Stores, access: Access) -> ASGIApp:
    """Make the application, to be mounted at /sta."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    install(app)

    @app.get("/v1.1{path:path}")  # with or without a / behind it
    def give(request: Request, path: str) -> Response:
        root = f"{request.url.scheme}://{request.url.netloc}{STA}"
        if not path.strip("/"):
            return tagged(request, _root(root, settings, request.url.hostname or ""))
        try:
            find = partial(_answer, root=root, path=path.strip("/"), query=request.url.query, zone=settings.timezone)
            return tagged(request, stores.ask(find))
        except Slow as error:
            raise Problem(503, TOO_LONG) from error
        except Refused as error:  # as a division by zero
            raise wrong("$filter", str(error).partition(": ")[2].partition("\n")[0]) from error

    return admitted(app, access)


def _root(root: str, settings: Settings, host: str) -> Response:
    """Name the sets, what the service conforms to and where it sends updates; `host` is the name it was asked by."""
    server: dict[str, Any] = {"conformance": CONFORMANCE}
    if settings.sta_updates:
        broker = str(Address.parse(settings.broker or f"mqtt://{url_host(host)}:{settings.mqtt_port}"))
        server = {"conformance": [*CONFORMANCE, UPDATES], UPDATES: {"endpoints": [broker]}}
    return _json({"value": [{"name": name, "url": f"{root}/{name}"} for name in SETS], "serverSettings": server})


def _answer(store: Store, root: str, path: str, query: str, zone: str) -> Response:
    with store.transaction(snapshot=True) as tx:
        reader = Reader(tx, root, zone)
        place, rest = _walked(reader, path.split("/"))
        options, address = asked(query, place.of), f"{root}/{path}"
        match rest:
            case [] if options.resultFormat:
                return _json(_arrays(reader, place, options, address, root))
            case []:
                return _json(_entities(reader, place, options, address))
            case ["$ref"]:
                return _json(_entities(reader, place, options, address, alone="@iot.selfLink"))
            case [name] | [name, "$value"] if name in place.of.property and place.one:
                found = _entities(reader, place, Options.model_validate({"$select": name}), "")
                return _property(found, name, raw=len(rest) == 2)
    known = ", ".join([*place.of.property, *place.of.link])
    raise Problem(404, f"nothing at {'/'.join(rest)[:100]} of a {place.of.singular}, expected one of {known}")


def _walked(reader: Reader, steps: Sequence[str]) -> tuple[Place, list[str]]:
    """Follow a path as far as it leads through entities; raises Problem 404 where one on the way is not there."""
    place: Place | None = None
    for at, step in enumerate(steps):
        match = re.fullmatch(r"(\w+)(?:\('?([0-9]{1,19}(?:\.[0-9]{1,6})?)'?\))?", step, re.ASCII)
        name = match[1] if match else ""
        target = SETS.get(name) if place is None else place.of.linked(name) if place.one else None
        if match is None or target is None:
            if place is None:
                raise Problem(404, f"nothing at {step[:100]}, expected one of {', '.join(SETS)}")
            return place, list(steps[at:])
        link = _link(reader, place, name) if place else None
        if match[2] and (Decimal(match[2]) >= 2**63 or name not in SETS):
            raise Problem(404, f"no {step}")
        link = _by_id(target, match[2], link) if match[2] else link
        place = Place(target, link, one=bool(match[2]) or name not in SETS)
    assert place is not None
    return place, []


def _link(reader: Reader, place: Place, name: str) -> Link:
    names = keys([place.of.link[name]])
    ((rows, _, _),) = reader.pages(place.of, Options.model_validate({}), place.link, names)
    if not rows:
        raise Problem(404, f"no such {place.of.singular}")
    return Link.of(place.of, name, rows, names)


def _by_id(of: EntitySet, text: str, link: Link | None) -> Link:
    number = int(text.partition(".")[0])
    by, streams = of.by.replace("{p.id}", text), [number >> 32]
    return Link(f"{link.on} AND {by}", link.columns, streams) if link else Link(by, {"id": [number]}, streams)


def _entities(reader: Reader, place: Place, options: Options, address: str, alone: str = "") -> dict[str, Any]:
    """Give one entity, or a page of them; `alone` this part of each."""
    ((page, found),) = reader.entities(place.of, options, place.link)
    if alone:
        found = [{alone: one[alone]} for one in found]
    if not place.one:
        return {**counted(page, options, address), "value": found}
    if not found:
        raise Problem(404, f"no such {place.of.singular}")
    return found[0]


def _property(entity: dict[str, Any], name: str, *, raw: bool) -> Response:
    if entity.get(name) is None:
        return Response(status_code=204)
    if raw and not isinstance(entity[name], msgspec.Raw):
        return Response(str(entity[name]), media_type="text/plain")
    return _json(entity[name] if raw else {name: entity[name]})


def _arrays(reader: Reader, place: Place, options: Options, address: str, root: str) -> dict[str, Any]:
    """Give Observations as arrays, those of a Datastream together."""
    if place.of is not OBSERVATIONS or place.one:
        raise wrong("$resultFormat", "dataArray is for Observations alone")
    names = [name for name in place.of.property if options.shows(name)]
    array = f"json_build_array({', '.join(shown(place.of, name) for name in names)})::text"
    (page,) = reader.pages(place.of, options, place.link, ["id"], [array])
    value = []
    for stream, rows in groupby(page.rows, lambda row: int(row[0]) >> 32):
        found = [[as_id(key), msgspec.Raw(rest[1:-1])] if names else [as_id(key)] for key, rest in rows]
        value.append({
            "Datastream@iot.navigationLink": f"{root}/Datastreams({stream})", "components": ["id", *names],
            "dataArray@iot.count": len(found), "dataArray": found,
        })  # fmt: skip
    return {**counted(page, options, address), "value": value}


def _json(found: object) -> Response:
    return Response(msgspec.json.encode(found), media_type="application/json")
