"""The catalogue of sensors: read from files, imported over what is known, and used at once."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from aggregates.store.catalogue import import_sensors
from aggregates.store.store import Store
from ingest.files.catalogue import Entry, read_catalogue
from ingest.vocabulary.batch import Batch, columns
from ingest.vocabulary.readings import Reading, SensorFact
from ingest.vocabulary.values import BadFile
from streams.commit.pipeline import Pipeline
from tests.support.databases import sensors

NOW = datetime(2024, 5, 1, tzinfo=UTC)
HEADER = "sensor_id,name,kind,lon,lat,lanes,interval,overrides"
LINE = 'ndw/a,Hereweg,loop,6.571234,53.201234,2,60,"{""vehicle_count"": {""high"": 50}}"'
FULL = Entry("ndw/a", "Hereweg", "loop", 6.571234, 53.201234, 2, 60.0, {"vehicle_count": {"high": 50}})


def put(folder: Path, text: str | bytes, name: str = "sensors.csv") -> Path:
    """Write a catalogue."""
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


class TestCsv:
    """Tables as spreadsheets write them."""

    @pytest.mark.parametrize("mark", ["", "\ufeff"])
    @pytest.mark.parametrize("end", ["\n", "\r\n"])
    def test_every_column(self, tmp_path: Path, mark: str, end: str) -> None:
        """Commas, with or without a byte order mark, with either end of line."""
        assert read_catalogue(put(tmp_path, f"{mark}{HEADER}{end}{LINE}{end}")) == [FULL]

    def test_semicolons(self, tmp_path: Path) -> None:
        """What a Dutch spreadsheet writes; columns may be few and in any order, cells empty."""
        text = "lat;sensor_id;lon;name\n53.2;ndw/a;6.5;\n;ndw/b;;Grote Markt\n"
        assert read_catalogue(put(tmp_path, text)) == [
            Entry("ndw/a", lon=6.5, lat=53.2), Entry("ndw/b", name="Grote Markt"),
        ]  # fmt: skip

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("", "line 1.*sensor_id"),
            ("id,name\nndw/a,x\n", r"line 1.*\['id', 'name'\].*sensor_id"),
            ("sensor_id,nmae\nndw/a,x\n", "line 2.*nmae"),
            ("sensor_id,name\nndw/a\n", "line 2.*found 1.*expected 2 columns"),
            ("sensor_id,name\nndw/a,x,y\n", "line 2.*found 3.*expected 2 columns"),
            ("sensor_id,lanes\nndw/a,two\n", r"line 2: Expected `int.*lanes`, found 'two'"),
            ("sensor_id,lanes\nndw/a,0\n", r"line 2: Expected `int` >= 1 - at `\$.lanes`, found '0'"),
            ("sensor_id,lanes\nndw/a,99999999999\n", "line 2: Expected `int` <= 100 .*lanes"),
            ("sensor_id,name\nndw/a,x\0y\n", "line 2: Expected `str` matching regex .*name"),
            (f"sensor_id\nndw/{'x' * 3000}\n", "line 2: Expected `str` of length <= 500 .*sensor_id"),
            ("sensor_id,channels\nndw/a,x\0y\n", "line 2: Expected `str` matching regex .*channels"),
            ("sensor_id,interval\nndw/a,inf\n", "line 2: Expected `float` <= .*interval`, found 'inf'"),
            ("sensor_id,name\nndw/a,x\nrws/b,y\n", "line 3.*'rws/b', expected <source>/<id>"),
            ("sensor_id,name\nndw/,x\n", "line 2.*'ndw/', expected"),
            ("sensor_id,lon\nndw/a,6.5\n", "line 2.*'ndw/a' with only one of lon and lat"),
            ("sensor_id,lon,lat\nndw/a,233000,581000\n", "line 2: Expected `float` <= 180.*found '233000'"),
            ("sensor_id,lon,lat\nndw/a,53.2,6.5\n", r"line 2: place \(53.2, 6.5\) of 'ndw/a': lon and lat are swapped"),
            ("sensor_id,lon,lat\nndw/a,0,0\n", r"line 2: place \(0.0, 0.0\) of 'ndw/a': not in the Netherlands"),
            ("sensor_id,lon,lat\nndw/a,13.4,52.5\n", "line 2.*not in the Netherlands"),
            ("sensor_id,lon,lat\nndw/a,nan,nan\n", "line 2: Expected `float`.*found 'nan'"),
            ("sensor_id\nndw/a\nndw/a\n", "line 3.*'ndw/a' for a second time"),
            ("sensor_id,overrides\nndw/a,high=3\n", "line 2"),
            ('sensor_id,overrides\nndw/a,"{""no3"": {}}"\n', "line 2.*'no3'"),
            ('sensor_id,overrides\nndw/a,"{""no2"": {""max"": 1}}"\n', "line 2.*'max'.*overrides"),
            ('sensor_id,overrides\nndw/a,"{""no2"": {""stuck"": 9e9}}"\n', "line 2.*stuck 9000000000.* at most 604800"),
            ('sensor_id,overrides\nndw/a,"{""no2"": {""high"": null}}"\n', "line 2: high null of 'no2', expected"),
            ('sensor_id,overrides\nndw/a,"{""no2"": {""spike"": -1}}"\n', "line 2: spike -1.*'no2'.*expected.*above 0"),
            ('sensor_id,overrides\nndw/a,"{""no2"": {""stuck"": 0}}"\n', "line 2: stuck 0.*'no2'.*expected.*above 0"),
            ('sensor_id,overrides\nndw/a,"{""no2"": {""spike"": ""inf""}}"\n', "line 2: spike inf.*expected"),
            ('sensor_id,overrides\nndw/a,"{""no2"": {""low"": 9, ""high"": 8}}"\n', "line 2: low 9.* above high 8"),
            ('sensor_id,overrides\nndw/a,"{""no2"": {""low"": 1e6}}"\n', "line 2: low 1000000.0 above high"),
            ("sensor_id,name\nndw/a," + "x" * 200_000 + "\n", "line 2"),
        ],
    )
    def test_mistake_is_named(self, tmp_path: Path, text: str, expected: str) -> None:
        """File, line, what was found and what was expected."""
        with pytest.raises(BadFile, match=f"sensors.csv.*{expected}"):
            read_catalogue(put(tmp_path, text))

    def test_other_encoding_is_named(self, tmp_path: Path) -> None:
        """Latin-1 is refused by name, not guessed at."""
        with pytest.raises(BadFile, match=r"sensors.csv: not UTF-8"):
            read_catalogue(put(tmp_path, "sensor_id,name\nndw/a,Dambrücke\n".encode("latin-1")))


def collection(*features: Any) -> str:
    """Write GeoJSON."""
    return json.dumps({"type": "FeatureCollection", "features": features})


def feature(properties: Any, geometry: Any = None) -> dict[str, Any]:
    """Make one feature of a collection."""
    return {"type": "Feature", "properties": properties, "geometry": geometry}


class TestGeoJson:
    """Points with properties."""

    def test_points_and_no_place(self, tmp_path: Path) -> None:
        """A point gives lon and lat, with or without a height; a feature without geometry has no place."""
        text = collection(
            feature(
                {"sensor_id": "ndw/a", "name": "Hereweg", "lanes": 2},
                {"type": "Point", "coordinates": [6.571234, 53.2, 4.0]},
            ),
            feature({"sensor_id": "ndw/b", "overrides": {"vehicle_count": {"high": 50}}}),
        )
        assert read_catalogue(put(tmp_path, text, "a.geojson")) == [
            Entry("ndw/a", "Hereweg", lon=6.571234, lat=53.2, lanes=2),
            Entry("ndw/b", overrides={"vehicle_count": {"high": 50}}),
        ]

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("{", "a.geojson"),
            ('{"type": "Feature"}', "'Feature', expected a GeoJSON FeatureCollection"),
            (collection(7), "feature 1.*expected"),
            (collection(feature(None)), "feature 1.*sensor_id"),
            (collection(feature([])), "feature 1.*expected"),
            (collection(feature({"sensor_id": "ndw/a"}, {"type": "LineString"})), "feature 1.*LineString.*Point"),
            (collection(feature({"sensor_id": "ndw/a"}, "here")), "feature 1.*expected"),
            (collection(feature({"sensor_id": "ndw/a"}, {"type": "Point", "coordinates": [6]})), "feature 1.*expected"),
            (collection(feature({"sensor_id": "ndw/a"}, {"type": "Point", "coordinates": 6})), "feature 1.*expected"),
            (collection(feature({"sensor_id": "ndw/a"}), feature({"sensor_id": 5})), "feature 2.*sensor_id"),
        ],
    )
    def test_mistake_is_named(self, tmp_path: Path, text: str, expected: str) -> None:
        """File, feature, what was found and what was expected."""
        with pytest.raises(BadFile, match=f"a.geojson.*{expected}|{expected}"):
            read_catalogue(put(tmp_path, text, "a.geojson"))


def test_places_of_citizens_are_rounded(tmp_path: Path) -> None:
    """A sensor at somebody's home is placed to about 100 m, one of a city where it stands."""
    text = "sensor_id,lon,lat\ntelraam/1,6.566502,53.219383\nndw/1,6.566502,53.219383\n"
    home, street = read_catalogue(put(tmp_path, text))
    assert ((home.lon, home.lat), (street.lon, street.lat)) == ((6.567, 53.219), (6.566502, 53.219383))


def known(store: Store) -> dict[str, Any]:
    """Give what the store knows of its only sensor."""
    names = ("sensor_id", "name", "kind", "lon", "lat", "indoor", "lanes", "inferred", "catalogued", "series")
    (found,) = sensors(store)
    return {name: getattr(found, name) for name in names}


def send_fact(store: Store, fact: SensorFact) -> dict[str, Any]:
    """Store a fact about a sensor, as from a message."""
    Pipeline(store).store(Batch(columns([], []), [fact]))
    return known(store)


class TestImport:
    """The catalogue over what is known."""

    def test_keeps_what_it_leaves_out(self, store: Store) -> None:
        """A second import changes the fields that it gives, overrides quantity by quantity, and nothing else."""
        import_sensors(store, [FULL])
        import_sensors(store, [Entry("ndw/a", name="Hereweg Noord", overrides={"vehicle_speed": {"high": 90}})])
        found = known(store)
        assert (found["name"], found["kind"], found["lon"], found["lanes"]) == ("Hereweg Noord", "loop", 6.571234, 2)
        with psycopg.connect(store.conninfo) as connection:
            ((overrides,),) = connection.execute("SELECT overrides FROM sensor").fetchall()
        assert overrides == {"vehicle_count": {"high": 50}, "vehicle_speed": {"high": 90}}

    def test_messages_fill_only_its_gaps(self, store: Store) -> None:
        """What was imported stands against every message; what was left out is completed."""
        import_sensors(store, [Entry("ndw/a", name="Hereweg", lanes=2)])
        found = send_fact(store, SensorFact("ndw/a", name="PGR08", lon=6.5, lat=53.2, lanes=3, kind="loop"))
        assert (found["name"], found["lanes"], found["lon"], found["kind"]) == ("Hereweg", 2, 6.5, "loop")
        assert (found["catalogued"], found["inferred"]) == (True, False)

    def test_messages_replace_messages(self, store: Store) -> None:
        """Of a sensor that was not imported the newest message counts, for the fields that it gives."""
        send_fact(store, SensorFact("ndw/a", name="old", lon=6.5, lat=53.2, lanes=2))
        found = send_fact(store, SensorFact("ndw/a", name="new", lanes=3))
        assert (found["name"], found["lanes"], found["lon"]) == ("new", 3, 6.5)

    def test_inferred_lanes_never_replace_known_ones(self, store: Store) -> None:
        """A guess gives way to knowledge, and never the other way round."""
        assert send_fact(store, SensorFact("ndw/a", lanes=4, inferred=True))["inferred"]
        assert send_fact(store, SensorFact("ndw/a", lanes=5, inferred=True))["lanes"] == 5
        found = send_fact(store, SensorFact("ndw/a", lanes=2))
        assert (found["lanes"], found["inferred"]) == (2, False)
        found = send_fact(store, SensorFact("ndw/a", lanes=6, inferred=True))
        assert (found["lanes"], found["inferred"]) == (2, False)

    def test_imported_lanes_replace_a_guess(self, store: Store) -> None:
        """The number of lanes in the catalogue counts; without one the inferred number stays inferred."""
        send_fact(store, SensorFact("ndw/a", lanes=4, inferred=True))
        import_sensors(store, [Entry("ndw/a", name="Hereweg")])
        assert (known(store)["lanes"], known(store)["inferred"]) == (4, True)
        import_sensors(store, [Entry("ndw/a", lanes=3)])
        assert (known(store)["lanes"], known(store)["inferred"]) == (3, False)

    def test_running_pipeline_uses_it(self, store: Store) -> None:
        """Limits and interval imported while a pipeline runs hold for its next batch."""
        pipeline = Pipeline(store)
        for minute in (0, 1):
            reading = Reading("ndw/a", "", "occupancy", 0, NOW + timedelta(minutes=minute), 60.0)
            pipeline.store(Batch(columns([reading], [NOW])))
            import_sensors(store, [Entry("ndw/a", interval=60.0, overrides={"occupancy": {"high": 50.0}})])
        with psycopg.connect(store.conninfo) as connection:
            found = connection.execute("SELECT flags, covers FROM reading ORDER BY start").fetchall()
        assert found == [(0, None), (2, 60.0)]

    def test_listed_by_source(self, store: Store) -> None:
        """Sensors come by id, those without a place among them."""
        import_sensors(store, [Entry(f"{source}/{at}") for source in ("ndw", "ttn") for at in "cab"])
        assert [row.sensor_id for row in sensors(store, "ttn")] == ["ttn/a", "ttn/b", "ttn/c"]
