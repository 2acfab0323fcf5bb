"""
Releases: tables frozen as files with a manifest, and what has changed in them since.

    releases/fietsers-2025/manifest.json        what, of whom, by which rules, as of when, checksums, how to cite
    releases/fietsers-2025/werkdag.parquet      and the same as .csv
    releases/fietsers-2025/dcat.ttl             the record for a catalogue (DCAT-AP-NL); CITATION.txt

A release is a moment of the hub: its tables are asked for *as of* one at which no roll-up was under way. It is noted in
the database, where it is listed from, and never changed. `stadspuls release` calls it.
"""

import re
import shutil
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from hashlib import file_digest
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from aggregates.ask.dates import BadQuestion
from aggregates.ask.listings import EVERYTHING, LISTS
from aggregates.ask.periods import Reporting
from aggregates.export.areas import LICENCES
from aggregates.export.forms import write_file
from aggregates.release.inquiry import KEY, NAME, Inquiry, Span, Table, answer, origins_of, rules_of
from aggregates.store.store import Store

NOT_COMPARED = {"revision", "computed_at"}  # how often a figure was made is no figure
COLUMNS = ["table", "subject", "start", "before", "after", "reason", "detail"]  # of what changed
Manifest = Mapping[str, Any]
TEXTS = Environment(loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, trim_blocks=True)


def make(
    store: Store, root: Path, name: str, inquiry: Inquiry, span: Span, reporting: Reporting, version: str
) -> Manifest:
    """
    Freeze the tables of an inquiry below `root`/`name`, and give their manifest.

    Raises BadQuestion where there is a release of that name, FileExistsError where its folder is taken, and
    `StoreError`.
    """
    if not re.fullmatch(NAME, name):
        raise BadQuestion(f"release {name!r}, expected small letters, digits, dots, _ and -, as bicycles-2025")
    if store.rows("read_release", name=name):
        raise BadQuestion(f"release {name!r} is there already, and immutable: expected another name")
    ((at,),) = store.rows("read_settled_moment")
    folder, draft = root / name, root / f".{name}.tmp"
    if folder.exists():
        raise FileExistsError(f"{folder} is there already, expected no such folder")
    shutil.rmtree(draft, ignore_errors=True)
    inquiry = msgspec.structs.replace(inquiry, table=tuple(one.settled(store, span) for one in inquiry.table))
    with store.as_of(at):
        found = {one.name: answer(store, one, span, reporting) for one in inquiry.table}
    sources = {msgspec.json.encode(it): it for one in inquiry.table for it in origins_of(store, one, found[one.name])}
    manifest = {
        "name": name, "title": inquiry.title, "from": span[0], "to": span[1], "as_of": at,
        "publisher": inquiry.publisher, "licence": inquiry.licence, "hub": version,
        "sources": [*sources.values()], "validity": rules_of(inquiry.table, reporting),
        "question": msgspec.to_builtins(inquiry),
        "files": [it for one, rows in found.items() for it in _write(draft, one, rows, [*sources.values()], reporting)],
    }  # fmt: skip
    kept: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(manifest))
    kept["citation"] = TEXTS.get_template("CITATION.txt.j2").render(kept)
    (draft / "manifest.json").write_bytes(msgspec.json.format(msgspec.json.encode(kept), indent=1))
    for text in ("CITATION.txt", "dcat.ttl"):
        (draft / text).write_text(TEXTS.get_template(f"{text}.j2").render(kept, licences=LICENCES) + "\n", "utf-8")
    for path in draft.iterdir():
        path.chmod(0o444)
    with store.transaction() as tx:
        tx.rows("insert_release", name=name, as_of=at, manifest=msgspec.json.encode(kept).decode())
        draft.rename(folder)
    return kept


def _write(folder: Path, name: str, rows: pa.Table, sources: list[Any], reporting: Reporting) -> Iterator[Manifest]:
    for form in ("parquet", "csv"):
        path = folder / f"{name}.{form}"
        write_file(path, form, [rows], lambda: {"sources": sources}, reporting.zone)
        size = path.stat().st_size
        yield {"file": path.name, "table": name, "rows": rows.num_rows, "bytes": size, "sha256": _digest(path)}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def read(store: Store, name: str) -> Manifest:
    """Give the manifest of a release; raises BadQuestion where there is none of that name."""
    found = store.rows("read_release", name=name)
    if not found:
        raise BadQuestion(f"release {name!r}, expected one of `stadspuls release list`")
    manifest: Manifest = found[0][0]
    return manifest


def damaged(root: Path, manifest: Manifest) -> list[str]:
    """Give the files of a release that are missing or not what they were."""
    kept = {root / manifest["name"] / one["file"]: one["sha256"] for one in manifest["files"]}
    return [path.name for path, digest in kept.items() if not path.is_file() or _digest(path) != digest]


def changes(store: Store, root: Path, manifest: Manifest, reporting: Reporting) -> pd.DataFrame:
    """
    Compare each table of a release with what the hub knows now: a row for each row that differs.

    Columns: table, subject, start, before, after, reason and detail, which names the columns that differ. Below them
    are the hours and days that changed since, out of the history of the sensors (of a group its members) and areas in
    these rows, and the catalogue; and rules of the hub that are others. Raises OSError where a file is not here, and
    `StoreError`.
    """
    inquiry = msgspec.convert(manifest["question"], Inquiry)
    days = date.fromisoformat(manifest["from"]), date.fromisoformat(manifest["to"])
    at, rows, since = datetime.fromisoformat(manifest["as_of"]), list[pd.DataFrame](), list[pd.DataFrame]()
    for one in (it.settled(store, days) for it in inquiry.table):
        was = pq.read_table(root / manifest["name"] / f"{one.name}.parquet")
        rows.append(_differences(was, answer(store, one, days, reporting), one))
        since.append(_since(store, one, set(rows[-1]["subject"]), at, one.moments(days, reporting.zone)))
    found = [*rows, *since, _rules(manifest["validity"], rules_of(inquiry.table, reporting))]
    return pd.concat([one for one in found if len(one)] or rows[:1]).drop_duplicates(ignore_index=True)


def _differences(was: pa.Table, present: pa.Table, asked: Table) -> pd.DataFrame:
    """Give the rows of which any figure is another one."""
    if not len(was) + len(present):
        return pd.DataFrame(columns=COLUMNS)  # pandas merges no two empty columns of text
    key, nth = [name for name in KEY if name in was.column_names], "_nth"  # one channel may have several periods
    before, after = (it.assign(**{nth: it.groupby(key).cumcount()}) for it in (was.to_pandas(), present.to_pandas()))
    both = before.merge(after, on=[*key, nth], how="outer", suffixes=("_was", ""), indicator=True)
    differ = pd.DataFrame({
        name: ~_alike(both[f"{name}_was"], both[name])
        for name in was.column_names if name not in {*key, *NOT_COMPARED}
    })  # fmt: skip
    chosen = differ.any(axis=1) | (both["_merge"] != "both")
    both = both[chosen].assign(table=asked.name).rename(columns={"value_was": "before", "value": "after"})
    both["subject"] = both["code"] if "code" in key else both["sensor_id"].where(both["sensor_id"] != "", asked.area)
    if "start" not in key:
        both = both.assign(start=None, table=asked.name + " " + both["law"] + " " + both["statistic"])
    both["reason"] = both["_merge"].map({"left_only": "gone", "right_only": "new", "both": "other"}).astype(str)
    both["detail"] = [" ".join(differ.columns[row]) for row in differ[chosen].to_numpy(bool)]
    return both[COLUMNS]


def _alike(was: "pd.Series[Any]", present: "pd.Series[Any]") -> "pd.Series[bool]":
    """Tell what is the same but for the order in which sums were added up, as the database's function of that name."""
    same = (was == present) | (was.isna() & present.isna())
    if was.dtype.kind == present.dtype.kind == "f":
        same |= np.isclose(was, present, rtol=1e-12, atol=0)
    return same


def _since(store: Store, asked: Table, subjects: set[str], at: datetime, span: dict[str, Any]) -> pd.DataFrame:
    """Give the windows of sensors or areas in a range that changed since a moment, and changes of the catalogue."""
    scope: dict[str, Any] = dict.fromkeys(("source", "west", "south", "east", "north"))
    scope |= {"quantities": [asked.quantity], "vintage": asked.vintage, "ever": False, **span}
    sensors = sorted(name for name in subjects if "/" in name)
    of_subjects: list[dict[str, Any]] = [{"area": code, "sensors": None} for code in sorted(subjects - {*sensors})]
    of_subjects += [{"area": None, "sensors": sensors}] if sensors else []
    history = LISTS["history"]
    batches = [batch for one in of_subjects for batch in history.read(store, None, EVERYTHING, **scope, **one)]
    rows = pa.Table.from_batches(batches, history.columns).to_pandas()
    return rows[rows["changed_at"] > at].rename(columns={"window": "table"})[COLUMNS]


def _rules(was: Manifest, present: Manifest) -> pd.DataFrame:
    """Give the rules of the hub that are others than those of a manifest."""
    changed = [name for name, rule in was.items() if rule != msgspec.to_builtins(present.get(name))]
    rows = [("rules", name, None, None, None, "rules", f"{was[name]}, then {present.get(name)}") for name in changed]
    return pd.DataFrame(rows, columns=COLUMNS)
