"""
Air-quality indices of an hour: the Dutch LKI and the European AQI, from `air_index.toml`.

`streams.alerts.comparison` judges by `index_of`; `aggregates.store.migrate` mirrors the bands into the database, where
the views `index_1h` and `index_area_1h` make the same figures for dashboards and the API.
"""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from ingest.vocabulary.values import shipped_toml


class Index(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One index: `bounds` are the upper ends, inclusive, of its bands by quantity; above the last is one more."""

    title: str
    source: str
    plus_one: bool
    bounds: dict[str, tuple[float, ...]]


_read = msgspec.convert(shipped_toml(__file__, "air_index.toml"), dict[str, Index])
INDICES: Mapping[str, Index] = MappingProxyType(_read)


def index_of(name: str, values: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    """
    Give the index of each hour from its valid means in ug/m3 (NaN: none), NaN where no substance has one.

    The worst substance decides. LKI: where at least two substances are there and all have the same index, it is one
    higher (luchtmeetnet.nl), which is the only way to 11.

    >>> index_of("lki", {"no2": np.array([9.0, 9.0]), "pm10": np.array([80.0, 5.0])})
    array([7., 2.])
    """
    index = INDICES[name]
    known = {one: value for one, value in values.items() if one in index.bounds}
    if not known:
        return np.full(len(next(iter(values.values()), ())), np.nan)
    none = np.isnan(list(known.values()))
    parts = np.array([np.searchsorted(index.bounds[one], value) + 1.0 for one, value in known.items()])
    worst = np.where(none, -np.inf, parts).max(axis=0)
    agree = np.where(none, np.inf, parts).min(axis=0) == worst
    many = (~none).sum(axis=0) >= 2
    return np.where(none.all(axis=0), np.nan, worst + (index.plus_one & agree & many))


def bands() -> Iterator[dict[str, object]]:
    """Give every band as a row of the table `index_band`; the first has no lower end, the last no upper one."""
    for name, index in INDICES.items():
        for quantity, bounds in index.bounds.items():
            edges = (-np.inf, *bounds, np.inf)
            for band, (above, upto) in enumerate(pairwise(edges), 1):
                yield {"index": name, "quantity": quantity, "band": band, "above": float(above), "upto": float(upto),
                       "plus_one": index.plus_one}  # fmt: skip
