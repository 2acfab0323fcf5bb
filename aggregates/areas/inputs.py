"""
Documents with boundaries and statistics, recognised by their content, as the areas and statistics of one vintage.

`stadspuls areas load` reads files, and `aggregates.areas.cbs_door` fetches what they lack; `aggregates.areas.load`
stores what `gather` returns.
"""

import io
import json
import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pandas as pd

from aggregates.areas.codes import is_code, municipality_of
from aggregates.areas.geometry import Area, completed
from aggregates.areas.maps import Map, read_map
from aggregates.areas.statistics import About, BadDocument, Statistics, check_vintage, read_table
from ingest.vocabulary.values import raised_as

LARGEST = 500_000_000  # bytes that a map may unpack to: the country's has half of them
TABLE_ID = re.compile(r"\d{5}(?:NED|ned|ENG|eng)")


class Document(NamedTuple):
    """Bytes with a name; `path` where GDAL needs the files beside it."""

    name: str
    data: bytes
    path: Path | None = None

    @classmethod
    def read(cls, path: Path) -> "Document":
        """Read a file; raises OSError."""
        return cls(path.name, path.read_bytes(), path)


class Found(msgspec.Struct):
    """The content of documents, as far as it is read without knowing the others."""

    maps: list[tuple[str, Map]] = []
    frames: dict[object, tuple[str, list[pd.DataFrame], dict[str, Any]]] = {}  # and how to read it
    abouts: list[About] = []
    units: dict[str, str] = {}
    names: dict[str, str] = {}
    tables: dict[str, str] = {}  # document name -> table id


class Gathered(NamedTuple):
    """The content of documents for one vintage: areas where there is a map, statistics where there are any."""

    areas: tuple[Area, ...]
    statistics: tuple[Statistics, ...]
    map_title: str
    map_names: tuple[str, ...]
    table_names: tuple[str, ...]


def gather(documents: Iterable[Document], vintage: int, municipalities: Sequence[str]) -> Gathered:
    """
    Read documents of any kind, in any order.

    A map's attributes are statistics only where no document is a table. Raises BadDocument, naming the
    document, for one of another vintage or of an unknown kind.
    """
    found = Found()
    for document in documents:
        _add(document, found)
    for name, one in found.maps:
        if one.years and vintage not in one.years:
            raise BadDocument(f"{name}: a map of {sorted(one.years)}, not of vintage {vintage}")
    areas = [area for _, one in found.maps for area in one.areas if municipality_of(area.code) in municipalities]
    tables = list(_tables(found, vintage, municipalities))
    for name, one in () if tables else found.maps:
        about = About(f"{one.title} (attributes of the map)")
        tables.append((name, read_table(one.attributes.astype(object), about, municipalities, known_only=True)))
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
            raise BadDocument(f"area {area.code}: two maps give it different boundaries")
    return list(found.values())


def _add(document: Document, found: Found) -> None:
    """Recognise the kind of a document by its content."""
    data, name = document.data, document.name
    if table := TABLE_ID.search(name):
        found.tables[name] = table[0].upper()
    if data[:4] == b"PAR1":
        _add_rows(name, pd.read_parquet(io.BytesIO(data)), found)
    elif data[:4] == b"\x00\x00\x27\x0a" or data[:15] == b"SQLite format 3":
        found.maps += [(name, one) for one in read_map(str(document.path), name)]
    elif data[:2] == b"PK":
        _check_size(name, data)
        found.maps += [(name, one) for one in read_map(data, name)]
    elif data.lstrip(b"\xef\xbb\xbf \r\n\t")[:1] in (b"{", b"["):
        _add_json(name, data, found)
    else:
        _add_csv(name, data, found)


def _check_size(name: str, data: bytes) -> None:
    """Refuse a zip whose map is too large to be unpacked; of a damaged one GDAL says so."""
    file = io.BytesIO(data)
    if zipfile.is_zipfile(file) and sum(member.file_size for member in zipfile.ZipFile(file).infolist()) > LARGEST:
        raise BadDocument(f"{name}: unpacks to more than its limit, expected at most {LARGEST:,} bytes")


def _add_json(name: str, data: bytes, found: Found) -> None:
    with raised_as(BadDocument, ValueError, at=f"{name}: begins like JSON, and is not"):
        answer = json.loads(data.decode("utf-8-sig"))
    if isinstance(answer, list):
        answer = {"value": answer}
    rows = answer.get("value")
    if answer.get("type") == "FeatureCollection":
        found.maps += [(name, one) for one in read_map(data, name)]
    elif isinstance(sources := answer.get("bronnen"), dict) and "kerncijfers" in sources:
        title = str(sources["kerncijfers"])
        found.tables[name] = table[0].upper() if (table := TABLE_ID.search(title)) else name
        found.abouts.append(About(title, found.tables[name], str(answer.get("peildatum") or "")))
        found.frames[len(found.frames)] = name, [_municipal(answer)], {"known_only": True}
    elif isinstance(rows, list):
        if table := TABLE_ID.search(str(answer.get("odata.metadata") or answer.get("@odata.context"))):
            found.tables[name] = table[0].upper()
        _add_rows(name, pd.DataFrame(rows, dtype=object), found)
    elif {"Identifier", "Title"} <= answer.keys():
        _add_rows(name, pd.DataFrame([answer], dtype=object), found)
    else:
        raise BadDocument(f"{name}: JSON with {list(answer)[:8]}, expected OData, GeoJSON or a municipality's figures")


def _add_rows(name: str, frame: pd.DataFrame, found: Found) -> None:
    """Recognise rows with metadata and rows with figures by their columns."""
    columns = set(frame.columns)
    key = next((key for key in ("Identifier", "Key") if key in columns), "")
    if {"Measure", "Value"} <= columns:
        # Pages of one table belong together, for what no page holds is empty.
        found.frames.setdefault(("pages", found.tables.get(name)), (name, [], {}))[1].append(frame)
    elif key and "Unit" in columns:
        found.units |= {str(k): str(unit) for k, unit in zip(frame[key], frame["Unit"], strict=True) if unit}
    elif key == "Identifier" and "Title" in columns and not frame[key].map(is_code).any():
        for row in frame.to_dict("records"):
            modified = row.get("ObservationsModified") or row.get("Modified")
            found.abouts.append(About(str(row["Title"]), str(row["Identifier"]).upper(), modified and str(modified)))
    elif key and "Title" in columns:
        found.names |= {str(c).strip(): str(t).strip() for c, t in zip(frame[key], frame["Title"], strict=True)}
    elif len(frame):
        found.frames[len(found.frames)] = name, [frame], {"padded": _padded(frame)}


def _padded(frame: pd.DataFrame) -> bool:
    """Whether this is the untyped form, whose cells are all text: there a blank is a figure that cannot occur."""
    text = frame.drop(columns="ID", errors="ignore")
    return bool(text.map(lambda found: found is None or isinstance(found, str)).all(axis=None))


def _add_csv(name: str, data: bytes, found: Found) -> None:
    """StatLine's CSV (a title on top, semicolons, decimal commas) or OData rows as CSV."""
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        lines = data.decode("cp1252", "replace").splitlines()
    mark = ";" if any(line.count(";") > line.count(",") for line in lines[:5]) else ","
    head = next((at for at, line in enumerate(lines) if line.count(mark) >= 2), None)
    if head is None:
        raise BadDocument(f"{name}: neither JSON, CSV, parquet nor a map")
    body = "\n".join(lines[head:])
    frame = pd.read_csv(io.StringIO(body), sep=mark, dtype=str, keep_default_na=False, on_bad_lines="skip")
    title = next((line.strip(' ";,') for line in lines[:head] if "wijken en buurten" in line.casefold()), None)
    if title:
        found.abouts.append(About(title, found.tables.get(name)))
    found.frames[len(found.frames)] = name, [frame], {"padded": mark == ";"}


def _tables(found: Found, vintage: int, municipalities: Sequence[str]) -> Iterator[tuple[str, Statistics]]:
    for name, frames, how in found.frames.values():
        read = read_table(pd.concat(frames), _about_of(name, found, vintage), municipalities, units=found.units, **how)
        yield name, read._replace(names={**read.names, **found.names})


def _about_of(name: str, found: Found, vintage: int) -> About:
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
