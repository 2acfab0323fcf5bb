"""NDW's site table: what a record holds, the small file that is kept of it, and reading it again when it changes."""

import gzip
import io
import os
import tracemalloc
from pathlib import Path

import pytest

from ingest.files.site_table import current, import_table, parse, read, write
from ingest.vocabulary.readings import BadPayload, Site, SiteIndex

SITE = Site("3", "A7 hmp 1", 6.5, 53.2, 2, {"1": SiteIndex("lane1/any", "vehicle_count", 300)})


def record(site_id: str, index: str = "") -> str:
    """Write one record with one index, which measures the flow of any vehicle on lane 1."""
    return f"""<measurementSiteRecord id="{site_id}" version="2">
      <measurementSiteName><values><value lang="nl">{site_id} street</value></values></measurementSiteName>
      <measurementSpecificCharacteristics index="1"><measurementSpecificCharacteristics>
        <period>60</period><specificLane>lane1</specificLane>{index}
        <specificMeasurementValueType>trafficFlow</specificMeasurementValueType>
        <specificVehicleCharacteristics><vehicleType>anyVehicle</vehicleType></specificVehicleCharacteristics>
      </measurementSpecificCharacteristics></measurementSpecificCharacteristics></measurementSiteRecord>"""


def table(*records: str) -> bytes:
    """Write a table of records."""
    return f'<t xmlns="http://datex2.eu/schema/2/2_0">{"".join(records)}</t>'.encode()


def test_record_says_what_an_index_measures() -> None:
    """Lane, class, quantity and name are read; without a number of lanes they are counted from the indexes."""
    ((site_id, site),) = parse(io.BytesIO(table(record("S1"))))
    assert site_id == "S1"
    assert site == Site("2", "S1 street", None, None, 1, {"1": SiteIndex("lane1/any", "vehicle_count")})


def test_version_3_of_the_table_reads_alike() -> None:
    """DATEX II v3 calls a record `measurementSite`, and has another namespace."""
    text = table(record("S1")).replace(b"measurementSiteRecord", b"measurementSite").replace(b"/2/2_0", b"/3/roa")
    assert dict(parse(io.BytesIO(text))) == dict(parse(io.BytesIO(table(record("S1")))))


@pytest.mark.parametrize(
    "text", [b"", b"<t/>", b"<t><measurementSiteRecord", b'<!DOCTYPE t [<!ENTITY a "a">]><t>&a;</t>']
)
def test_other_files_are_refused(tmp_path: Path, text: bytes) -> None:
    """A file without a site is refused, and the old sites stay."""
    (tmp_path / "table.xml").write_bytes(text)
    target = tmp_path / "sites.parquet"
    write(target, [("S1", SITE)])
    with pytest.raises(BadPayload):
        import_table(tmp_path / "table.xml", target)
    assert read(target) == {"S1": SITE}


def test_doctype_is_refused_before_it_works() -> None:
    """A table with a DOCTYPE is refused at its first record."""
    text = b'<!DOCTYPE t [<!ENTITY a "a">]>' + table(record("S1"))
    with pytest.raises(BadPayload, match="DOCTYPE"):
        list(parse(io.BytesIO(text)))


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """Every fact of a site comes back, nothing known included, and no part file is left."""
    sites = {"S1": SITE, "S2": Site("", None, None, None, None, {})}
    write(tmp_path / "deep" / "sites.parquet", sites.items())
    assert read(tmp_path / "deep" / "sites.parquet") == sites
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["sites.parquet"]


def test_table_is_read_again_when_it_changes(tmp_path: Path) -> None:
    """A missing file has no sites; a new one is seen without a restart; an unchanged one is not read twice."""
    path = tmp_path / "sites.parquet"
    assert current(path) == {}
    write(path, [("S1", SITE)])
    assert current(path) == {"S1": SITE}
    assert current(path) is current(path)
    write(path, [("S2", SITE)])
    os.utime(path, (1, 1))
    assert current(path) == {"S2": SITE}
    path.unlink()
    assert current(path) == {}


def test_memory_stays_bounded() -> None:
    """Two thousand records of 10 kB take no more memory than a few of them: the real table has 340 MB."""
    text = table(*(record(f"S{n}", f"<!--{'x' * 10_000}-->") for n in range(2_000)))
    tracemalloc.start()
    try:
        assert sum(1 for _ in parse(io.BytesIO(text))) == 2_000
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.shared
def test_recorded_records(shared_data: Path, tmp_path: Path) -> None:
    """A real record, plain and gzipped: length classes in metres, any vehicle, the place for display."""
    raw = (shared_data / "ndw/MeasurementSiteRecord_1site_with_location.xml").read_bytes()
    (tmp_path / "table.xml.gz").write_bytes(gzip.compress(raw))
    assert import_table(tmp_path / "table.xml.gz", tmp_path / "sites.parquet") == 1
    site = current(tmp_path / "sites.parquet")["PZH01_MST_0629_00"]
    assert (site.version, site.name, site.lon, site.lat, site.lanes) == ("2", "N457 hmp 4.75 Re", 4.634289, 52.0263, 1)
    classes = ("<5.6", "5.6-12.2", ">12.2", "any")
    expected = [
        SiteIndex(f"lane1/{name}", quantity) for quantity in ("vehicle_count", "vehicle_speed") for name in classes
    ]
    assert [site.layout[str(at)] for at in range(1, 9)] == expected


@pytest.mark.parametrize("damage", [b"", b"PAR1 and then nothing", b"\x00" * 5000])
def test_damaged_file_is_put_aside(tmp_path: Path, damage: bytes) -> None:
    """A file that cannot be read stops no collector: it is put aside, and an import makes it anew."""
    path = tmp_path / "sites.parquet"
    path.write_bytes(damage)
    assert current(path) == {}
    assert [one.name for one in tmp_path.iterdir()] == ["sites.parquet.damaged"]
    write(path, [("S1", SITE)])
    assert current(path) == {"S1": SITE}


def test_damage_behind_the_footer_is_put_aside(tmp_path: Path) -> None:
    """Also where the schema can be read and the sites cannot."""
    path = tmp_path / "sites.parquet"
    write(path, [(f"S{n}", SITE) for n in range(100)])
    raw = path.read_bytes()
    path.write_bytes(raw[:4] + b"\xff" * 200 + raw[204:])
    assert current(path) == {}
    assert not path.exists()
