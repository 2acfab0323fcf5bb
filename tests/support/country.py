"""The open sources of the country as one local HTTP server, with every fault that a real one has."""

import gzip
import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar
from urllib.parse import parse_qs, unquote, urlsplit
from zlib import crc32

C = TypeVar("C", bound="Country")

HOUR = timedelta(hours=1)
NOW = datetime(2026, 5, 4, 9, 30, 20, tzinfo=UTC)


@dataclass(frozen=True)
class Answer:
    """What goes over the wire; `lost` bytes at the end are promised and never sent, `late` seconds come before it."""

    body: bytes = b""
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    lost: int = 0
    late: float = 0.0


def failing(status: int, after: str = "") -> Answer:
    """An answer with an error, and perhaps a wish when to come again."""
    return Answer(b"sorry", status, (("Retry-After", after),) if after else ())


class Country:
    """
    NDW, Luchtmeetnet, Samen Meten and Sensor.Community; tests set what there is, and put faults before it.

    A fault is taken by the first request whose path contains its key.
    """

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.faults: list[tuple[str, Answer]] = []
        self.files: dict[str, bytes] = {}
        self.measurements: list[dict[str, Any]] = []
        self.stations: dict[str, dict[str, Any]] = {}
        self.things: list[dict[str, Any]] = []
        self.observations: list[dict[str, Any]] = []
        self.page = 1000
        self.validators = True  # of files: ETag and Last-Modified
        country = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                answer = country.answer(self.path, dict(self.headers))
                time.sleep(answer.late)
                body = answer.body[: len(answer.body) - answer.lost]
                self.send_response(answer.status)
                for name, value in answer.headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.body)))
                if answer.lost:
                    self.send_header("Connection", "close")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                pass  # a client that went away is what is tested

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, path: str, headers: dict[str, str]) -> Answer:
        """Answer one request: a fault that waits for it, or what there is."""
        self.asked[unquote(path.partition("?")[0])] += 1
        for at, (part, fault) in enumerate(self.faults):
            if part in unquote(path):
                del self.faults[at]
                return fault
        parts = urlsplit(path)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        return self._answer(parts.path.lstrip("/"), query, headers)

    def _answer(self, path: str, query: dict[str, str], headers: dict[str, str]) -> Answer:
        if path in self.files:
            return self._file(self.files[path], headers)
        if path == "measurements":
            return self._paged(self.measurements, query)
        if path.startswith("stations/") and path.removeprefix("stations/") in self.stations:
            return _json({"data": self.stations[path.removeprefix("stations/")]})
        if path == "Things":
            return self._entities(self.things, query)
        if path == "Observations":
            hour = query["$filter"].removeprefix("phenomenonTime eq ")
            return self._entities([one for one in self.observations if one["phenomenonTime"] == hour], query)
        return Answer(b"no such thing", 404)

    def _file(self, body: bytes, headers: dict[str, str]) -> Answer:
        if not self.validators:
            return Answer(body)
        tag = f'"{crc32(body):x}"'
        if headers.get("If-None-Match") == tag:
            return Answer(status=304, headers=(("ETag", tag),))
        return Answer(body, headers=(("ETag", tag), ("Last-Modified", "Mon, 04 May 2026 08:00:00 GMT")))

    def _paged(self, rows: list[dict[str, Any]], query: dict[str, str]) -> Answer:
        """Luchtmeetnet's way: stamps from `start` to `end`, so many to a page."""
        first, last = (datetime.fromisoformat(query[key]) for key in ("start", "end"))
        if last - first > timedelta(days=7):
            return Answer(b"too long", 400)
        found = [row for row in rows if first <= _when(row.get("timestamp_measured", ""), first) <= last]
        number, pages = int(query["page"]), max(1, -(-len(found) // self.page))
        around = {"current_page": number, "last_page": pages, "first_page": 1, "next_page": min(number + 1, pages),
                  "prev_page": max(number - 1, 1), "page_list": list(range(1, pages + 1))}  # fmt: skip
        return _json({"pagination": around, "data": found[(number - 1) * self.page : number * self.page]})

    def _entities(self, found: list[dict[str, Any]], query: dict[str, str]) -> Answer:
        """GOST's way: at most 200, and 504 instead of an empty page."""
        skip = int(query["$skip"])
        page = found[skip : skip + min(200, int(query["$top"]))]
        return _json({"value": page}) if page else Answer(b"", 504)


def _when(text: str, otherwise: datetime) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return otherwise


def _json(document: object) -> Answer:
    return Answer(json.dumps(document).encode(), headers=(("Content-Type", "application/json"),))


@contextmanager
def country(kind: type[C]) -> Iterator[C]:
    """Run the server as long as the block."""
    made = kind()
    thread = threading.Thread(target=made.server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.server.shutdown()
        made.server.server_close()


# What the sources say, made up.


def ndw_minute(published: datetime, sites: dict[str, datetime], table: str = "1", flow: int = 120) -> bytes:
    """NDW's file of a minute: one flow and one speed of each site, stamped as given."""
    measured = "".join(
        f'<siteMeasurements><measurementSiteReference id="{site}" version="1"/>'
        f"<measurementTimeDefault>{when:%Y-%m-%dT%H:%M:%SZ}</measurementTimeDefault>"
        '<measuredValue index="1"><measuredValue><basicData xsi:type="TrafficFlow"><vehicleFlow>'
        f"<vehicleFlowRate>{flow}</vehicleFlowRate></vehicleFlow></basicData></measuredValue></measuredValue>"
        '<measuredValue index="2"><measuredValue><basicData xsi:type="TrafficSpeed"><averageVehicleSpeed '
        'numberOfInputValuesUsed="2"><speed>50</speed></averageVehicleSpeed></basicData></measuredValue></measuredValue>'
        "</siteMeasurements>"
        for site, when in sites.items()
    )
    return gzip.compress(
        '<d2LogicalModel xmlns="http://datex2.eu/schema/2/2_0" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
        f'<payloadPublication xsi:type="MeasuredDataPublication"><publicationTime>{published:%Y-%m-%dT%H:%M:%SZ}'
        "</publicationTime><publicationCreator><country>nl</country></publicationCreator>"
        f'<measurementSiteTableReference id="NDW01_MT" version="{table}"/>{measured}'
        "</payloadPublication></d2LogicalModel>".encode()
    )


def ndw_table(version: str, places: dict[str, tuple[float, float]]) -> bytes:
    """NDW's site table: one lane with a flow and a speed of each site."""
    values = "".join(
        f'<measurementSpecificCharacteristics index="{index}"><measurementSpecificCharacteristics><period>60</period>'
        f"<specificLane>lane1</specificLane><specificMeasurementValueType>{kind}</specificMeasurementValueType>"
        "<specificVehicleCharacteristics><vehicleType>anyVehicle</vehicleType></specificVehicleCharacteristics>"
        "</measurementSpecificCharacteristics></measurementSpecificCharacteristics>"
        for index, kind in ((1, "trafficFlow"), (2, "trafficSpeed"))
    )
    sites = "".join(
        f'<measurementSiteRecord id="{site}" version="1"><measurementSiteName><values><value>{site}</value></values>'
        f"</measurementSiteName><measurementSiteNumberOfLanes>1</measurementSiteNumberOfLanes>{values}"
        f"<measurementSiteLocation><locationForDisplay><latitude>{lat}</latitude><longitude>{lon}</longitude>"
        "</locationForDisplay></measurementSiteLocation></measurementSiteRecord>"
        for site, (lon, lat) in places.items()
    )
    return gzip.compress(
        '<d2LogicalModel xmlns="http://datex2.eu/schema/2/2_0"><payloadPublication><measurementSiteTable id="NDW01_MT" '
        f'version="{version}">{sites}</measurementSiteTable></payloadPublication></d2LogicalModel>'.encode()
    )


def figure(station: str, formula: str, end: datetime, value: float | None, stamp: str = "") -> dict[str, Any]:
    """One figure of Luchtmeetnet."""
    return {"station_number": station, "formula": formula, "value": value,
            "timestamp_measured": stamp or f"{end:%Y-%m-%dT%H:%M:%S+00:00}"}  # fmt: skip


def station(name: str, lon: float, lat: float) -> dict[str, Any]:
    """What Luchtmeetnet says about a station."""
    return {"type": "Traffic", "components": ["NO2"], "geometry": {"type": "point", "coordinates": [lon, lat]},
            "municipality": name, "organisation": "RIVM", "location": name, "year_start": "1990"}  # fmt: skip


def thing(name: str, lon: float, lat: float) -> dict[str, Any]:
    """A device of Samen Meten."""
    place = {"encodingType": "application/vnd.geo+json", "location": {"type": "Point", "coordinates": [lon, lat]}}
    return {"@iot.id": crc32(name.encode()), "name": name, "properties": {"codegemeente": "14.0"}, "Locations": [place]}


def observation(stream: str, end: datetime, result: float | None) -> dict[str, Any]:
    """A value of Samen Meten."""
    return {"phenomenonTime": f"{end:%Y-%m-%dT%H:%M:%S.000Z}", "result": result,
            "Datastream": {"@iot.id": crc32(stream.encode()), "name": stream}}  # fmt: skip


def citizen(sensor: int, when: datetime, lon: float, lat: float, p1: str = "12.5", **more: Any) -> dict[str, Any]:
    """A record of Sensor.Community."""
    return {"id": crc32(f"{sensor} {when}".encode()), "timestamp": f"{when:%Y-%m-%d %H:%M:%S}", "sampling_rate": None,
            "location": {"id": 1, "latitude": str(lat), "longitude": str(lon), "country": "NL", "exact_location": 0},
            "sensor": {"id": sensor, "pin": "1", "sensor_type": {"id": 14, "name": "SDS011", "manufacturer": "x"}},
            "sensordatavalues": [{"id": 1, "value": p1, "value_type": "P1"}], **more}  # fmt: skip


def hour_before(now: datetime, hours: int = 1) -> datetime:
    """Give the start of the hour so many hours ago."""
    return now.astimezone(UTC).replace(minute=0, second=0, microsecond=0) - hours * HOUR
