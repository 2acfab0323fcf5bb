"""
The application below `/ogc`: collections, their features as the API gives them, and the pages that lead there.

The collections are those of `collections.toml`, for each vintage and quantity that the hub has. Each is a list of the
API whose questions have answers already, as the vintage of areas, and whose properties are flat. Links are to the
address that the request came to. `hub.web.http` mounts it.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple
from urllib.parse import quote

import jinja2
import msgspec
import pyarrow as pa
from fastapi import FastAPI, Request, Response
from fastapi import Query as Asking
from fastapi.responses import HTMLResponse
from pydantic import BaseModel
from starlette.types import ASGIApp

from aggregates.ask.areas import codes_within
from aggregates.ask.listings import Batches, Key
from aggregates.ask.query import SIDES
from aggregates.export.objects import CRS84, RD, flattened, objects
from aggregates.store.store import Store
from hub.settings.settings import Settings
from hub.web.admission import BASIC, Access
from hub.web.api.answers import Stores, answer
from hub.web.api.app import admitted
from hub.web.api.parameters import Query, chosen, query
from hub.web.api.problems import Problem, install, wrong
from hub.web.api.resources import RESOURCES, Resource
from ingest.vocabulary.values import shipped_toml

FOLDER = Path(__file__).parent
TEXTS: Mapping[str, Any] = shipped_toml(__file__, "collections.toml")
Asked = query(" ".join(sorted({word for one in TEXTS["collection"] for word in one["parameters"].split()})), 10_000)
_USUAL = {"window": "1h", "measure": ["inhabitants", "density", "urbanity"]}  # of area figures
GEOJSON, OPENAPI = "application/geo+json", "application/vnd.oai.openapi+json;version=3.1"
_FORMS = {"json": "application/json", "geojson": GEOJSON, "html": "text/html"}
_texts = cache(lambda: jinja2.Environment(loader=jinja2.FileSystemLoader(FOLDER), autoescape=True))


class Form(BaseModel, extra="forbid"):
    """What every page takes."""

    f: Literal["json", "html"] | None = None


Plain = Annotated[Form, Asking()]
Items: Any = Annotated[Asked, Asking()]


class Collection(NamedTuple):
    """A list as features; `asked` is what may be asked of it, with parts of an id as the words `one`."""

    id: str
    title: str
    description: str
    resource: Resource
    asked: type[Query]
    one: Sequence[str]

    def own(self, asked: Any, feature: str | None = None) -> Query:
        """
        Give a question to any collection as one to this, or about one feature of it.

        Raises Problem for what may not be asked of it, and for an id that it cannot have.
        """
        if strange := asked.model_fields_set - self.asked.model_fields.keys():
            raise wrong(min(strange), "no such parameter of this collection")
        fields = type(asked).model_fields
        given = {fields[name].alias or name: getattr(asked, name) for name in asked.model_fields_set}
        given |= {"format": "geojson" if asked.f == "json" else asked.f, "limit": min(asked.limit or 100, 10_000)}
        given |= {name: given.get(name) or usual for name, usual in _USUAL.items()}
        if feature is not None:
            parts = feature.replace("\0", "").split("|", len(self.one) - 1)
            if len(parts) != len(self.one):
                raise Problem(404, f"no feature {feature!r} in {self.id}")
            named = zip(self.one, parts, strict=True)
            given |= {name: part if name == "datetime" else [part] for name, part in named}
        return self.asked.model_construct(**given)


def collections(store: Store) -> dict[str, Collection]:
    """Give the collections by their ids."""
    values = {"vintage": store.rows("export_vintages"), "quantity": store.rows("live_choices"), "": [("",)]}
    made = [_collection(one, row[0]) for one in TEXTS["collection"] for row in values[one.get("each", "")]]
    return {one.id: one for one in made}


def _collection(known: Mapping[str, Any], value: Any) -> Collection:
    each = known.get("each", "")
    listed = next(one for one in RESOURCES if one.path == known["resource"])
    left_out = dict.fromkeys(query(listed.parameters, 1).model_fields.keys() - Query.model_fields.keys())
    find = partial(_find, listed, {**left_out, "shapes": True}, {each: value} if each else {})
    flat = flattened(listed.columns.empty_table()).schema
    resource = listed._replace(columns=flat, find=find, only=("geojson", "html"))
    name, title, description = (known[name].format(**{each: value}) for name in ("id", "title", "description"))
    return Collection(name, title, description, resource, query(known["parameters"], listed.most), known["one"])


def _find(
    listed: Resource, usual: Mapping[str, Any], given: Mapping[str, Any], store: Store, after: Key | None, limit: int,
    **asked: Any,
) -> Batches:  # fmt: skip
    asked = {**usual, **asked, **given}
    box = [asked[side] for side in SIDES]
    if "geometry" in listed.columns.names and None not in box:
        asked["areas"] = codes_within(store, asked["vintage"], box, asked["areas"])
    for batch in listed.find(store, after, limit, **asked):
        yield from flattened(pa.Table.from_batches([batch])).to_batches()


def ogc(settings: Settings, stores: Stores, access: Access) -> ASGIApp:
    """Make the application, to be mounted at OGC."""
    app = FastAPI(**TEXTS["about"], openapi_url="/api", docs_url=None, redoc_url=None)
    install(app)

    def collection(name: str) -> Collection:
        if found := stores.ask(collections).get(name):
            return found
        raise Problem(404, f"no collection {name!r}, see collections for those there are")

    _add_pages(app, stores, collection)
    _add_items(app, stores, collection, settings.timezone)
    return admitted(app, access, challenge=BASIC)


def _add_pages(app: FastAPI, stores: Stores, collection: Callable[[str], Collection]) -> None:
    @app.get("/")
    def landing(request: Request, _: Plain) -> Response:
        links = [_link(request, "self", ""), _link(request, "service-desc", "api", OPENAPI)]
        links += [_link(request, *one) for one in (("conformance", "conformance"), ("data", "collections"))]
        return _answer(request, {**TEXTS["about"], "links": links})

    @app.get("/conformance")
    def conformance(request: Request, _: Plain) -> Response:
        return _answer(request, {"conformsTo": TEXTS["conformance"]})

    @app.get("/collections")
    def give_collections(request: Request, _: Plain) -> Response:
        found = [_described(request, one) for one in stores.ask(collections).values()]
        return _answer(request, {"links": [_link(request, "self", "collections")], "collections": found})

    @app.get("/collections/{name}")
    def give_collection(request: Request, name: str, _: Plain) -> Response:
        return _answer(request, _described(request, collection(name)))


def _add_items(app: FastAPI, stores: Stores, collection: Callable[[str], Collection], zone: str) -> None:
    @app.get("/collections/{name}/items")
    def items(request: Request, name: str, asked: Items) -> Response:
        found = collection(name)
        return answer(request, found.resource, found.own(asked), stores, zone)

    @app.get("/collections/{name}/items/{feature:path}")
    def item(request: Request, name: str, feature: str, asked: Items) -> Response:
        found = collection(name)
        arguments = found.own(asked, feature).arguments(zone, "", 0)
        batches = stores.ask(lambda store: list(found.resource.find(store, None, 1, **arguments)))
        if not any(batch.num_rows for batch in batches):
            raise Problem(404, f"no feature {feature!r} in {name}")
        table = pa.Table.from_batches(batches).select(found.resource.shown(arguments).names)
        (only,) = objects(table, "geojson", arguments["crs"] or CRS84, found.resource.key)
        links = [_link(request, "self", f"collections/{name}/items/{quote(feature, safe='')}", GEOJSON)]
        links += [_link(request, "collection", f"collections/{name}")]
        return _answer(request, {**only, "links": links}, arguments["crs"] or CRS84)


def _described(request: Request, one: Collection) -> dict[str, Any]:
    path = f"collections/{one.id}"
    links = [_link(request, "self", path), _link(request, "items", f"{path}/items", GEOJSON)]
    about = {"id": one.id, "title": one.title, "description": one.description, "itemType": "feature", "links": links}
    return {**about, "crs": [CRS84, RD], "storageCrs": CRS84}


def _link(request: Request, rel: str, path: str, media: str = "application/json") -> dict[str, str]:
    url = request.url.replace(path=f"{request.scope['root_path']}/{path}", query="")
    return {"rel": rel, "href": str(url), "type": media}


def _answer(request: Request, found: dict[str, Any], crs: str = "") -> Response:
    form = request.query_params.get("f") or chosen(", ".join(request.headers.getlist("accept")), _FORMS)
    headers = {"Vary": "Accept, Authorization", **({"Content-Crs": f"<{crs}>"} if crs else {})}
    if form == "html":
        shown, title = msgspec.json.decode(msgspec.json.encode(found)), found.get("title", TEXTS["about"]["title"])
        return HTMLResponse(_texts().get_template("page.html").render(title=title, found=shown), headers=headers)
    return Response(msgspec.json.encode(found), media_type=GEOJSON if crs else "application/json", headers=headers)
