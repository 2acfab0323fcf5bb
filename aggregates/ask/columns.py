"""
The columns of every list of the API, by name: type and meaning, once, in `columns.toml`.

`aggregates.ask.listings` makes Arrow schemas of them; the API's document, its JSON, Parquet and Arrow follow from
these.
"""

import tomllib
from collections.abc import Mapping
from importlib.resources import files
from types import MappingProxyType
from typing import Any

import pyarrow as pa

from aggregates.areas.measures import MEASURES

TEXT, NUMBER, COUNT, YES_OR_NO, BYTES = pa.string(), pa.float64(), pa.int64(), pa.bool_(), pa.binary()
STAMP, DATE = pa.timestamp("us", "UTC"), pa.date32()
MANY = pa.list_(pa.field("item", TEXT, nullable=False))
STATISTICS = pa.struct([pa.field(name, NUMBER) for name in MEASURES])
_TYPES: Mapping[str, pa.DataType] = {
    "text": TEXT, "number": NUMBER, "count": COUNT, "yes_or_no": YES_OR_NO, "bytes": BYTES, "stamp": STAMP,
    "date": DATE, "many": MANY, "statistics": STATISTICS,
}  # fmt: skip

COLUMNS: Mapping[str, tuple[pa.DataType, str]] = MappingProxyType(
    {
        name: (_TYPES[kind], meaning)
        for kind, known in tomllib.loads(files("aggregates.ask").joinpath("columns.toml").read_text("utf-8")).items()
        for name, meaning in known.items()
    }
)


def schema(names: str) -> pa.Schema:
    """
    Make a schema of named columns; a name that ends in `?` may be null.

    >>> [(field.name, field.nullable) for field in schema("code name?")]
    [('code', False), ('name', True)]
    """
    return pa.schema([_field(name) for name in names.split()])


def _field(word: str) -> "pa.Field[Any]":
    name = word.rstrip("?")
    kind, meaning = COLUMNS[name]
    return pa.field(name, kind, nullable=word.endswith("?"), metadata={"description": meaning})
