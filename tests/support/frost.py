"""A SensorThings 1.1 service over real sockets: filters, expands and pages Observations, with links of its own host."""

import json
import re
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode
from zlib import crc32

from tests.support.country import Answer, Country

_COMPARED = re.compile(r"(phenomenonTime|resultTime) (ge|lt) (\S+?)(?=[\s)]|$)")
_EQUAL = re.compile(r"Datastream/ObservedProperty/name eq '([^']*)'")


class Frost(Country):
    """Observations that tests set, each with its Datastream, Thing and Location; `page` of them are an answer."""

    def __init__(self) -> None:
        super().__init__()
        self.page = 100
        self.questions: list[dict[str, str]] = []

    def _answer(self, path: str, query: dict[str, str], headers: dict[str, str]) -> Answer:
        if path != "v1.1/Observations":
            return Answer(b"no such thing", 404)
        self.questions.append(query)
        found = [one for one in self.observations if _holds(query["$filter"], one)]
        found.sort(key=lambda one: str(one["phenomenonTime"]))
        skip = int(query.get("$skip", 0))
        document: dict[str, Any] = {"value": found[skip : skip + self.page]}
        if skip + self.page < len(found):
            more = urlencode({**query, "$skip": skip + self.page}, quote_via=quote)
            # As behind a proxy that the service does not know of.
            document["@iot.nextLink"] = f"http://inside:8080/FROST/v1.1/Observations?{more}"
        body = json.dumps(document).encode()
        tag = f'"{crc32(body):x}"'
        if headers.get("If-None-Match") == tag:
            return Answer(status=304)
        return Answer(body, headers=(("ETag", tag),))


def _holds(condition: str, one: dict[str, Any]) -> bool:
    """Evaluate a filter; a comparison with null is false, an interval is compared by its start."""

    def compared(found: re.Match[str]) -> str:
        given = one.get(found[1])
        if given is None:
            return "False"
        moment = datetime.fromisoformat(given.partition("/")[0])
        limit = datetime.fromisoformat(found[3])
        return str(moment >= limit if found[2] == "ge" else moment < limit)

    name = one["Datastream"]["ObservedProperty"]["name"]
    text = _EQUAL.sub(lambda found: str(found[1] == name), _COMPARED.sub(compared, condition))
    assert re.fullmatch(r"(True|False|and|or|[() ])+", text), text
    return bool(eval(text))  # nothing but words of logic is left


def observed(
    stream: int, when: datetime | str, result: Any, name: str = "NO2", unit: str = "ug/m3",
    place: tuple[float, float] | None = (6.57, 53.22), revised: datetime | None = None, thing: int = 1,
) -> dict[str, Any]:  # fmt: skip
    """An Observation with what belongs to it."""
    locations = [{"location": {"type": "Point", "coordinates": list(place)}}] if place else []
    return {
        "@iot.id": crc32(f"{stream} {when} {revised}".encode()),
        "phenomenonTime": when if isinstance(when, str) else f"{when:%Y-%m-%dT%H:%M:%S.000Z}",
        "resultTime": None if revised is None else f"{revised:%Y-%m-%dT%H:%M:%S.000Z}",
        "result": result,
        "Datastream": {
            "@iot.id": stream,
            "name": f"{name} at {thing}",
            "unitOfMeasurement": {"name": "x", "symbol": unit, "definition": "https://ucum.org"},
            "ObservedProperty": {"name": name, "definition": f"https://example.org/{name}"},
            "Thing": {"@iot.id": thing, "name": f"Station {thing}", "Locations": locations},
        },
    }  # fmt: skip
