"""
The read-only API of sensors and areas below `/api/v1`: JSON, GeoJSON or CSV by `Accept`, in pages.

`hub.http` includes the router, with a store for each request; `aggregates.catalogue` and `aggregates.areafigures` know
the answers. A page is `{"items": [...], "next": cursor or null}`; what has no place is in it with `lon` and `lat` null.
"""

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Annotated, Any, Literal

import msgspec
import pandas as pd
import shapely
from fastapi import APIRouter, Depends, Header, HTTPException, Query, Response

from aggregates.areafigures import areas as list_areas
from aggregates.areafigures import newest_vintage
from aggregates.areastore import LICENCE
from aggregates.catalogue import sensors as list_sensors
from aggregates.query import BadQuestion
from aggregates.store import Store, StoreError

MOST = 10_000
Limit = Annotated[int, Query(ge=1, le=MOST, description="how many at most")]
Cursor = Annotated[str, Query(description="`next` of the page before")]
Accept = Annotated[str, Header()]
Items = list[dict[str, Any]]


def api(open_store: Callable[[], Store]) -> APIRouter:
    """Make the router; `open_store` gives a new store, which is closed after the answer."""
    router = APIRouter(prefix="/api/v1", tags=["catalogue"])

    def store() -> Iterator[Store]:
        with closing(open_store()) as opened:
            try:
                yield opened
            except StoreError as error:
                raise HTTPException(503, f"the database did not answer: {error}") from error

    Opened = Annotated[Store, Depends(store)]  # noqa: N806 - a type

    @router.get("/sensors")
    def sensors(
        opened: Opened, source: str | None = None, limit: Limit = 100, cursor: Cursor = "", accept: Accept = ""
    ) -> Response:
        """Sensors by id."""
        found = list_sensors(opened, source, cursor, limit + 1)
        return _page(found, limit, "sensor_id", accept)

    @router.get("/areas")
    def areas(
        opened: Opened, vintage: int | None = None, level: Literal["gemeente", "wijk", "buurt"] | None = None,
        limit: Limit = 100, cursor: Cursor = "", accept: Accept = "",
    ) -> Response:  # fmt: skip
        """Areas of one vintage, by default the newest, with their statistics. Licence: see the header X-Licence."""
        try:
            found = list_areas(opened, vintage or newest_vintage(opened), level, cursor, limit + 1)
        except BadQuestion:
            found = []
        answer = _page(found, limit, "code", accept)
        answer.headers["X-Licence"] = LICENCE
        return answer

    return router


def _page(found: Items, limit: int, key: str, accept: str) -> Response:
    """Write one page; one more than asked for says that there is another."""
    items = found[:limit]
    after = items[-1][key] if len(found) > limit else None
    if "geo+json" in accept:
        features = [_feature(item) for item in items]
        data = msgspec.json.encode({"type": "FeatureCollection", "features": features, "next": after})
        return Response(data, media_type="application/geo+json")
    plain = [{name: value for name, value in item.items() if name != "geometry"} for item in items]
    if "csv" in accept:
        flat = pd.json_normalize(plain).to_csv(index=False)
        return Response(flat, media_type="text/csv", headers={"X-Next": after} if after else None)
    return Response(msgspec.json.encode({"items": plain, "next": after}), media_type="application/json")


def _feature(item: dict[str, Any]) -> dict[str, Any]:
    shape = item.get("geometry")
    geometry = None if shape is None else msgspec.Raw(shapely.to_geojson(shape).encode())
    if geometry is None and item["lon"] is not None:
        geometry = {"type": "Point", "coordinates": [item["lon"], item["lat"]]}  # type: ignore[assignment]
    properties = {name: value for name, value in item.items() if name != "geometry"}
    return {"type": "Feature", "geometry": geometry, "properties": properties}
