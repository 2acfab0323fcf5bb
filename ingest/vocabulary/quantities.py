"""
What is measured: the registry of quantities, with unit, plausibility, aggregation and validity, from `quantities.toml`.

`streams.commit.quality` takes the plausible range from here, the store mirrors the table into the database, where the
views take the aggregation and the validity rules from it.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

import msgspec

from ingest.vocabulary.readings import BadPayload
from ingest.vocabulary.values import shipped_toml

SPIKE_MEMORY = 6 * 3600  # s on either side in which a reading has neighbours


class Quantity(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One line of the registry; `quantities.toml` says what the fields are."""

    name: str
    kind: str
    unit: str
    low: float
    high: float
    aggregation: Literal["sum", "mean", "weighted_mean"]
    coverage: float
    hours: int | None = None
    day: Literal["civil", "cet"] = "civil"
    tolerance: float = 0
    spike: float | None = None
    stuck: float | None = None
    flat: float = 0
    dead: float | None = None
    agree: float = 1
    channels: Literal["lanes", "separate"] = "separate"
    molar: float | None = None
    least_spread: float = 1
    least_share: float = 0.1
    term: str = ""

    @property
    def memory(self) -> float:
        """How far, in seconds, a reading and the rules about its neighbours reach; 0 where there are none."""
        return max(SPIKE_MEMORY if self.spike else 0, 1.5 * (self.stuck or 0))

    @property
    def zone(self) -> str | None:
        """The tz name of a fixed day, or None where the hub's own zone decides."""
        return "Etc/GMT-1" if self.day == "cet" else None


_read = shipped_toml(__file__, "quantities.toml")
_kinds, _lines = _read["kind"], _read["quantity"]
QUANTITIES: Mapping[str, Quantity] = MappingProxyType(
    {name: msgspec.convert({**_kinds[one["kind"]], **one, "name": name}, Quantity) for name, one in _lines.items()}
)

GAS = 8.314462618  # J/(mol K), CODATA 2018
_SHARE = re.compile(r"(ppm|ppb) at (-?[0-9]{1,2}(?:\.[0-9]+)?) degC and ([0-9]{3,4}(?:\.[0-9]+)?) hPa")


def is_unit(unit: str, quantity: Quantity) -> bool:
    """Tell whether `convert` takes a unit."""
    share = bool(quantity.molar and _SHARE.fullmatch(unit))
    return share or unit == quantity.unit or unit in _read["conversion"].get(quantity.unit, {})


def convert(value: float, unit: str, quantity: Quantity) -> float:
    """
    Give `value` in the unit of the registry.

    A gas may be given as a share of volume, with the temperature and pressure of the concentration that is wanted: EU
    figures are at 20 degC and 1013.25 hPa (2008/50/EC annex VI: 293 K and 101.3 kPa). Raises BadPayload for a unit that
    this quantity has no conversion from.

    >>> convert(0.05, "mg/m3", QUANTITIES["no2"])
    50.0
    >>> round(convert(0.03, "ppm at 20 degC and 1013.25 hPa", QUANTITIES["o3"]), 1)
    59.9
    """
    if unit == quantity.unit:
        return value
    if quantity.molar and (share := _SHARE.fullmatch(unit)):
        moles = float(share[3]) * 100 / (GAS * (float(share[2]) + 273.15))  # of air, in a m3
        parts = value * {"ppm": 1.0, "ppb": 0.001}[share[1]]
        return convert(parts * moles * quantity.molar, "ug/m3", quantity)
    try:
        factor, offset = _read["conversion"][quantity.unit][unit]
    except KeyError:
        conditions = ", a ppm or ppb as 'ppb at 20 degC and 1013.25 hPa'" if quantity.molar else ""
        text = f"unit {unit!r} of {quantity.name}, expected {quantity.unit!r} or one it converts from{conditions}"
        raise BadPayload(text) from None
    return float(value * factor + offset)
