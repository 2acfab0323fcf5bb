"""
An alert rule as data: what it looks at, when it raises and clears, and who is notified; and the packs of rules.

A pack is a file of `streams/alerts/rules/` or a user's own. It has `[defaults]` for all of its rules and a `[[rule]]`
for each; the fields of `Rule` are the keys. What cannot work is refused at load, with file, rule, key and reason.
`streams.alerts.comparison` compares windows with rules, `streams.alerts.judge` keeps the alerts.
"""

import re
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from aggregates.areas.codes import is_code
from aggregates.areas.groups import PREFIX
from ingest.vocabulary.air_index import INDICES
from ingest.vocabulary.quantities import QUANTITIES
from ingest.vocabulary.readings import DEATHS, Flag
from ingest.vocabulary.sources import SOURCES, SourceClass, source_of_sensor
from ingest.vocabulary.values import BadFile, converted, duration, read_toml

SHIPPED = Path(__file__).with_name("rules")
LENGTHS = {"5m": 300, "1h": 3600, "1d": 86_400, "clock": 60}  # s of a window, of a day the usual ones
# How long an alert waits for a window to judge, and for its end; the age of late windows, and of those never judged.
TIMES = {
    "patience": {"5m": "30m", "1h": "6h", "1d": "3d", "clock": "1h"},
    "forget": {"5m": "6h", "1h": "2d", "1d": "7d", "clock": "7d"},
    "late_after": {"5m": "1h", "1h": "1d", "1d": "3d", "clock": "1h"},
    "retrospect": {"5m": "1d", "1h": "0s", "1d": "0s", "clock": "0s"},
}
MARKED = {"stuck": Flag.STUCK | Flag.SUSPECT_STUCK, "dead": DEATHS, "ambiguous": Flag.AMBIGUOUS}  # statistics of flags
EVIDENCE = ("coverage", "flagged", "warned", "failed", *MARKED)  # statistics that need no valid window
PROBES = ("silence", "drift", "coverage_today")  # statistics of now, judged by the clock
LONGEST = timedelta(days=3660)  # that a rule may wait or look back
_FIGURES = {"value": "-", "threshold": "-", "usual": "-", "unit": "", "windows": 1, "coverage": "-"}  # of a text
AtLeastOne = Annotated[int, msgspec.Meta(ge=1, le=10_000)]


class Baseline(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """
    An hour is compared with what is usual for it (`streams.alerts.comparison.usual`).

    The statistic becomes (value - median) / spread, the spread being 1.4826 x MAD, but at least `floor` and at least
    `share` of the median: where they are not given, `least_spread` and `least_share` of the quantity.
    """

    floor: float | None = None
    share: float | None = None


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, dict=True):
    """
    One rule: its windows, when it raises and clears an alert, and which channels are notified.

    Thresholds are in the unit of the quantity (shares 0..1, silence in intervals, drift in seconds, a baseline in
    spreads). It raises after `windows` consecutive windows beyond `raise` and clears after `clear_windows` that are not
    beyond `clear`; `inclusive` counts the threshold itself as beyond. `precision` is the number of decimals that a
    value is rounded to before it is compared (none: as it is), `precision_source` the document that says so.
    """

    name: str
    title: str
    title_nl: str = ""
    quantity: str
    level: Literal["5m", "1h", "1d", "clock"]
    statistic: str = "value"
    direction: Literal["above", "below"] = "above"
    raise_at: float = msgspec.field(name="raise")
    clear_at: float | None = msgspec.field(name="clear", default=None)
    inclusive: bool = False
    windows: AtLeastOne = 1
    clear_windows: AtLeastOne = 1
    least: float | None = None  # smallest usual value, or number of readings, that is worth judging
    coverage: Annotated[float, msgspec.Meta(ge=0, le=1)] | None = None
    precision: Annotated[int, msgspec.Meta(ge=0, le=15)] | None = None
    precision_source: str = ""
    baseline: Baseline | None = None
    share_of: str = ""  # regular expression of the channels of the classes whose share of the count is judged
    per: Literal["sensor", "area"] = "sensor"
    sensors: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)] = ("*",)
    areas: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    indoor: bool = False  # judge the values of sensors inside a building too
    classes: Annotated[tuple[SourceClass, ...], msgspec.Meta(min_length=1)] = tuple(SourceClass)
    severity: Literal["info", "warning", "critical"] = "warning"
    text: str = ""
    text_nl: str = ""
    channels: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)] = ("operators",)
    notify: tuple[Literal["raised", "updated", "cleared", "cannot_judge"], ...] = ("raised", "cleared", "cannot_judge")
    late: Literal["quiet", "tell"] = "quiet"
    late_after: str = ""
    retrospect: str = ""  # windows that are older are not judged any more
    patience: str = ""
    forget: str = ""
    worse: Annotated[float, msgspec.Meta(gt=1)] | None = None  # an update each time the value grows by this factor
    first: date | None = None
    last: date | None = None
    source: str = ""
    owner: str = ""
    runbook: str = ""
    pack: str = ""

    def __post_init__(self) -> None:
        for key, reason in (*_misfits(self), *_unreadable(self)):
            raise ValueError(f"{key}: {reason}")

    @property
    def clear(self) -> float:
        """The value that clears, the raise threshold where none is given."""
        return self.raise_at if self.clear_at is None else self.clear_at

    @property
    def unit(self) -> str:
        """The unit of its values."""
        if self.statistic == "value" and not self.share_of:
            return QUANTITIES[self.quantity].unit if self.quantity in QUANTITIES else "index"
        return {"silence": "intervals", "drift": "s"}.get(self.statistic, "share")

    @property
    def needs(self) -> frozenset[str]:
        """The quantities that it looks at; an index needs its substances."""
        every = {"any": QUANTITIES, **{name: index.bounds for name, index in INDICES.items()}}
        return frozenset(every.get(self.quantity, {self.quantity}))

    @property
    def lookback(self) -> int:
        """How far before a window, in us, others may decide about it: a run of windows, a day being at most 25 h."""
        return (self.windows - 1) * LENGTHS[self.level] * 1_050_000

    @cached_property
    def times(self) -> dict[str, int]:
        """`patience`, `forget`, `late_after` and `retrospect` in microseconds; 0 is no limit."""
        usual = {key: of_level[self.level] for key, of_level in TIMES.items()}
        usual |= {"retrospect": "2d"} if self.baseline else {}
        return {
            key: duration(getattr(self, key) or text, may_be_zero=True) // timedelta(microseconds=1)
            for key, text in usual.items()
        }

    def since(self, now: int) -> int:
        """Give the stamp (us) before which no window starts that may still raise at `now`."""
        limit = self.times["retrospect"]
        return now - limit - LENGTHS[self.level] * 1_050_000 if limit else 0

    def applies_to(self, subject: str) -> bool:
        """Tell whether it is about a subject, by name and source; of groups alone by a pattern that begins so."""
        if self.per == "area":
            return not self.areas or subject in self.areas
        source = SOURCES.get(source_of_sensor(subject))
        known = source is None or source.source_class in self.classes
        mine = [pattern for pattern in self.sensors if pattern.startswith(PREFIX) == subject.startswith(PREFIX)]
        return known and any(fnmatchcase(subject, pattern) for pattern in mine)

    def beyond(self, values: NDArray[np.float64], threshold: float) -> NDArray[np.bool_]:
        """Tell which values are beyond a threshold, after rounding (half up) where the rule rounds; NaN never is."""
        if self.precision is not None:
            ten = 10.0**self.precision
            values = np.floor(values * ten + 0.5) / ten
        sign = 1.0 if self.direction == "above" else -1.0
        return sign * values >= sign * threshold if self.inclusive else sign * values > sign * threshold


class _Pack(msgspec.Struct, forbid_unknown_fields=True):
    """A file before its rules are read."""

    defaults: dict[str, Any] = {}
    rule: list[dict[str, Any]] = []


def load_rules(directories: Sequence[Path] = (), shipped: Path = SHIPPED) -> dict[str, Rule]:
    """
    Load every pack, and give the rules by name; a file replaces one of the same name that is shipped, or stands before.

    Raises BadFile for a rule that cannot work.
    """
    paths = {path.name: path for folder in (shipped, *directories) for path in sorted(folder.glob("*.toml"))}
    found: dict[str, Rule] = {}
    for path in paths.values():
        pack = read_toml(path, _Pack)
        for at, table in enumerate(pack.rule, 1):
            keys = {**pack.defaults, **table, "pack": path.stem}
            rule = converted(keys, Rule, f"{path}: rule {keys.get('name') or at!r}")
            if known := found.get(rule.name):
                raise BadFile(f"{rule.pack}: rule {rule.name!r}: name: a second rule, the other is in {known.pack}")
            found[rule.name] = rule
    return found


def _misfits(rule: Rule) -> Iterator[tuple[str, str]]:
    """Give the keys whose values do not go together, each with the reason."""
    quantities, statistics = (*QUANTITIES, *INDICES, "any"), ("value", *EVIDENCE, *PROBES)
    level, sign = f"{rule.level!r}", 1 if rule.direction == "above" else -1
    hourly, stored, of_area = rule.level == "1h", rule.level in ("1h", "1d"), rule.per == "area"
    no_area = not stored or rule.statistic not in ("value", "coverage")
    strange = next((code for code in rule.areas if not is_code(code)), None)
    checks = (
        ("quantity", rule.quantity not in quantities, f"{rule.quantity!r}, expected one of {', '.join(quantities)}"),
        ("level", rule.quantity in INDICES and not hourly,
         f"{level}, expected '1h': {rule.quantity} is an hourly index"),
        ("level", (rule.statistic in PROBES) != (rule.level == "clock"),
         f"{level} with statistic {rule.statistic!r}: {', '.join(PROBES)} are judged by the clock"),
        ("statistic", rule.statistic not in statistics, f"{rule.statistic!r}, expected {', '.join(statistics)}"),
        ("level", rule.statistic in MARKED and not hourly, f"{level}, expected '1h': {rule.statistic!r} is of hours"),
        ("statistic", rule.quantity == "any" and rule.statistic == "value",
         "'value' of any quantity, expected one of the evidence"),
        ("per", of_area and no_area, "'area' with this level or statistic, expected the value or coverage of 1h or 1d"),
        ("sensors", not stored and any(one.startswith(PREFIX) for one in rule.sensors),
         f"a group with level {level}, expected '1h' or '1d'"),
        ("areas", strange is not None, f"{strange!r}, expected a code as GM0014, WK001400 or BU00140002"),
        ("clear", (rule.clear - rule.raise_at) * sign > 0,
         f"{rule.clear:g} lies beyond raise {rule.raise_at:g}, direction {rule.direction}"),
        ("windows", rule.level == "clock" and rule.windows > 1, f"{rule.windows}, expected 1: it has no windows"),
        ("precision", rule.precision is not None and not rule.precision_source, "without a precision_source"),
        ("baseline", rule.baseline and (not hourly or rule.quantity not in QUANTITIES or of_area),
         "expected level '1h', a quantity and sensors: it compares hours of the week"),
        ("share_of", rule.share_of and (not hourly or rule.baseline or rule.quantity != "vehicle_count"),
         "expected the vehicle_count of an hour without a baseline"),
        ("last", rule.first and rule.last and rule.first >= rule.last, f"{rule.last} is not after first {rule.first}"),
    )  # fmt: skip
    return ((key, reason) for key, wrong, reason in checks if wrong)


def _unreadable(rule: Rule) -> Iterator[tuple[str, str]]:
    """Give the keys whose text cannot be used, each with the reason."""
    for key in TIMES:
        try:
            if duration(getattr(rule, key) or "0s", may_be_zero=True) > LONGEST:
                yield key, f"{getattr(rule, key)!r}, expected at most {LONGEST.days}d"
        except ValueError as error:
            yield key, str(error)
    for key in ("text", "text_nl"):
        try:
            getattr(rule, key).format(**_FIGURES)
        except (LookupError, ValueError, TypeError, AttributeError) as error:
            yield key, f"{error}: it cannot be filled in, expected {', '.join(_FIGURES)}, numbers without a format"
    try:
        re.compile(rule.share_of)
    except re.error as error:
        yield "share_of", f"{rule.share_of!r}: {error}"
