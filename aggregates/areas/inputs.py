"""
Documents with boundaries and statistics, recognised by their content, as the areas and statistics of one vintage.

`stadspuls areas load` reads files, and `aggregates.areas.cbs_door` fetches what they lack; `aggregates.areas.load`
stores what `gather` returns.
"""

import gzip
import io
import json
import re
import tempfile
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from aggregates.areas.codes import is_code, municipality_of
from aggregates.areas.geometry import Area, completed
from aggregates.areas.maps import BadMap, Map, read_map
from aggregates.areas.measures import measure_of
from aggregates.areas.statistics import (
    CANNOT_OCCUR,
    NOT_GIVEN,
    About,
    BadStatistics,
    Statistics,
    check_vintage,
    read_observations,
    read_wide,
)

TABLE_ID = re.compile(r"\d{5}(?:NED|ned|ENG|eng)")


@dataclass(frozen=True, slots=True)
class Document:
    """Bytes with a name; `path` where GDAL needs the files beside it."""

    name: str
    data: bytes
    path: Path | None = None

    @classmethod
    def read(cls, path: Path) -> "Document":
        """Read a file, unpacked where it is gzipped."""
        data = path.read_bytes()
        return cls(path.name, gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data, path)


@dataclass
class DocumentsByKind:
    """Documents by kind, as far as they are read without knowing the others."""

    maps: list[tuple[str, Map]] = field(default_factory=list)
    wide: list[tuple[str, pd.DataFrame, str | None]] = field(default_factory=list)  # and what a blank means
    observations: list[tuple[str, list[dict[str, Any]]]] = field(default_factory=list)
    municipal: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    abouts: list[About] = field(default_factory=list)
    units: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    tables: dict[str, str] = field(default_factory=dict)  # document name -> table id


@dataclass(frozen=True, slots=True)
class Gathered:
    """The content of documents for one vintage: areas where there is a map, statistics where there are any."""

    areas: tuple[Area, ...]
    statistics: tuple[Statistics, ...]
    map_title: str
    map_names: tuple[str, ...]
    table_names: tuple[str, ...]


def gather(documents: Iterable[Document], vintage: int, municipalities: Sequence[str]) -> Gathered:
    """
    Read documents of any kind, in any order.

    A map's attributes are statistics only where no document is a table. Raises BadStatistics or BadMap, naming the
    document, for one of another vintage or of an unknown kind.
    """
    found = DocumentsByKind()
    for document in documents:
        _add(document, found)
    for name, one in found.maps:
        if one.years and vintage not in one.years:
            raise BadMap(f"{name}: a map of {sorted(one.years)}, not of vintage {vintage}")
    areas = [area for _, one in found.maps for area in one.areas if municipality_of(area.code) in municipalities]
    tables = list(_tables(found, vintage, municipalities)) or list(_of_maps(found, vintage, municipalities))
    statistics = [(name, one) for name, one in tables if len(one.cells)]
    return Gathered(
        tuple(completed(_distinct(areas))), tuple(one for _, one in statistics),
        "; ".join(dict.fromkeys(one.title for _, one in found.maps)),
        tuple(dict.fromkeys(name for name, _ in found.maps)), tuple(dict.fromkeys(name for name, _ in statistics)),
    )  # fmt: skip


def _distinct(areas: Iterable[Area]) -> list[Area]:
    found: dict[str, Area] = {}
    for area in areas:
        known = found.setdefault(area.code, area)
        if known is not area and not known.shape.equals(area.shape):
            raise BadMap(f"area {area.code}: two maps give it different boundaries")
    return list(found.values())


def _add(document: Document, found: DocumentsByKind) -> None:
    """Recognise the kind of a document by its content."""
    data, name = document.data, document.name
    if table := TABLE_ID.search(name):
        found.tables[name] = table[0].upper()
    if data[:4] == b"PAR1":
        _add_rows(name, pd.read_parquet(io.BytesIO(data)), found)
    elif data[:4] == b"\x00\x00\x27\x0a" and document.path:
        found.maps += [(name, one) for one in read_map(str(document.path), name)]
    elif data[:15] == b"SQLite format 3":
        with tempfile.NamedTemporaryFile(suffix=".gpkg") as file:  # GDAL wants the suffix
            file.write(data)
            file.flush()
            found.maps += [(name, one) for one in read_map(file.name, name)]
    elif data[:2] == b"PK" and _has_shapes(data):
        found.maps += [(name, one) for one in read_map(data, name)]
    elif data[:2] == b"PK":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for inner in archive.namelist():
                _add(Document(inner, archive.read(inner)), found)
    elif data.lstrip(b"\xef\xbb\xbf \r\n\t")[:1] in (b"{", b"["):
        _add_json(name, data, found)
    else:
        _add_csv(name, data, found)


def _has_shapes(data: bytes) -> bool:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return any(name.casefold().endswith((".shp", ".gpkg", ".geojson")) for name in archive.namelist())


def _add_json(name: str, data: bytes, found: DocumentsByKind) -> None:
    try:
        answer = json.loads(data.decode("utf-8-sig"))
    except ValueError as error:
        raise BadStatistics(f"{name}: begins like JSON, and is not ({error})") from error
    rows = answer.get("value") if isinstance(answer, dict) else answer
    if isinstance(answer, dict) and answer.get("type") == "FeatureCollection":
        found.maps += [(name, one) for one in read_map(data, name)]
    elif isinstance(answer, dict) and "kerncijfers" in (answer.get("bronnen") or {}):
        found.municipal.append((name, answer))
    elif isinstance(answer, dict) and {"Identifier", "Title"} <= answer.keys():
        found.abouts.append(_about(answer))
    elif isinstance(rows, list) and rows and isinstance(rows[0], dict):
        context = str(answer.get("odata.metadata") or answer.get("@odata.context")) if isinstance(answer, dict) else ""
        if table := TABLE_ID.search(context):
            found.tables[name] = table[0].upper()
        if "Measure" in rows[0]:
            found.observations.append((name, rows))
        else:
            _add_rows(name, pd.DataFrame(rows, dtype=object), found)
    elif not isinstance(rows, list):
        raise BadStatistics(
            f"{name}: JSON with {list(answer)[:8]}, expected OData, GeoJSON or a municipality's figures"
        )


def _add_rows(name: str, frame: pd.DataFrame, found: DocumentsByKind) -> None:
    """Recognise rows with metadata and rows with figures by their columns."""
    columns = set(frame.columns)
    if {"Measure", "Value"} <= columns:
        found.observations.append((name, frame.to_dict("records")))  # type: ignore[arg-type]
    elif {"Key", "Unit"} <= columns:
        found.units |= {str(k): str(u) for k, u in zip(frame["Key"], frame["Unit"], strict=True) if u and u == u}
    elif {"Identifier", "Unit"} <= columns:
        found.units |= dict(zip(frame["Identifier"].astype(str), frame["Unit"].astype(str), strict=True))
    elif {"Identifier", "Title"} <= columns and not frame["Identifier"].map(is_code).any():
        found.abouts += [_about(row) for row in frame.to_dict("records")]
    elif (key := next((key for key in ("Identifier", "Key") if key in columns), None)) and "Title" in columns:
        found.names |= {str(c).strip(): str(t).strip() for c, t in zip(frame[key], frame["Title"], strict=True)}
    else:
        found.wide.append((name, frame, CANNOT_OCCUR if _padded(frame) else None))


def _padded(frame: pd.DataFrame) -> bool:
    """Whether this is the untyped form, whose cells are all text: there a blank has a meaning."""
    text = [column for column in frame.columns if column != "ID"]
    return all(frame[column].map(lambda found: found is None or isinstance(found, str)).all() for column in text)


def _about(answer: dict[Any, Any]) -> About:
    modified = answer.get("ObservationsModified") or answer.get("Modified")
    return About(str(answer["Title"]), str(answer["Identifier"]).upper(), str(modified) if modified else None)


def _add_csv(name: str, data: bytes, found: DocumentsByKind) -> None:
    """StatLine's CSV (a title on top, semicolons, decimal commas) or OData rows as CSV."""
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        lines = data.decode("cp1252", "replace").splitlines()
    mark = ";" if any(line.count(";") > line.count(",") for line in lines[:5]) else ","
    head = next((at for at, line in enumerate(lines) if line.count(mark) >= 2), None)
    if head is None:
        raise BadStatistics(f"{name}: neither JSON, CSV, parquet nor a map")
    body = "\n".join(lines[head:])
    frame = pd.read_csv(io.StringIO(body), sep=mark, dtype=str, keep_default_na=False, on_bad_lines="skip")
    title = next((line.strip(' ";,') for line in lines[:head] if "wijken en buurten" in line.casefold()), None)
    if title:
        found.abouts.append(About(title, found.tables.get(name)))
    found.wide.append((name, frame, CANNOT_OCCUR if mark == ";" else None))


def _tables(found: DocumentsByKind, vintage: int, municipalities: Sequence[str]) -> Iterable[tuple[str, Statistics]]:
    for name, frame, blank in found.wide:
        about = _about_of(name, found, vintage)
        read = read_wide(frame, about, municipalities, units=found.units, blank=blank or NOT_GIVEN)
        yield name, _named(read, found)
    for name, rows in _whole(found):
        about = _about_of(name, found, vintage)
        yield name, _named(read_observations(rows, about, municipalities, found.units), found)
    for name, answer in found.municipal:
        title = str(answer["bronnen"]["kerncijfers"])
        table = TABLE_ID.search(title)
        about = About(title, table[0].upper() if table else None, str(answer.get("peildatum") or ""))
        check_vintage(about, vintage, name)
        yield name, read_wide(_municipal(answer), about, municipalities, known_only=True)


def _whole(found: DocumentsByKind) -> Iterable[tuple[str, list[dict[str, Any]]]]:
    """Put the pages of one table together, for what no page holds is empty."""
    pages: dict[str | None, tuple[str, list[dict[str, Any]]]] = {}
    for name, rows in found.observations:
        pages.setdefault(found.tables.get(name), (name, []))[1].extend(rows)
    return pages.values()


def _named(statistics: Statistics, found: DocumentsByKind) -> Statistics:
    codes = set(statistics.cells["code"])
    names = {code: name for code, name in found.names.items() if code in codes}
    return replace(statistics, names={**statistics.names, **names})


def _about_of(name: str, found: DocumentsByKind, vintage: int) -> About:
    """Find title and table id: in the table's own lines, or in a document of metadata beside it."""
    table = found.tables.get(name)
    about = next((about for about in found.abouts if table in (about.table_id, None) or not about.table_id), None)
    about = about or About(None, table)
    check_vintage(about, vintage, name)
    return about if about.title else About(f"Kerncijfers wijken en buurten {vintage}", table)


def _municipal(answer: dict[str, Any]) -> pd.DataFrame:
    """One row an area: the figures stand below `demografie`. Its `wijkCode` is wrong at buurt level and not read."""
    areas = [answer, *answer.get("wijken", ()), *answer.get("buurten", ())]
    rows = [{"code": area["code"], "naam": area.get("name"), **(area.get("demografie") or {})} for area in areas]
    return pd.DataFrame(rows, dtype=object)


def _of_maps(found: DocumentsByKind, vintage: int, municipalities: Sequence[str]) -> Iterable[tuple[str, Statistics]]:
    for name, one in found.maps:
        about = About(f"{one.title} (attributes of the map)")
        statistics = read_wide(one.attributes.astype(object), about, municipalities, known_only=True)
        if any(measure_of(str(column)) for column in one.attributes.columns):
            yield name, statistics
