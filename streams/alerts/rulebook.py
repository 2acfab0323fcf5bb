"""
Alert rules as data: the packs of `streams/alerts/rules/*.toml` and a user's own, refused at load when they cannot work.

A pack has `[defaults]` for all of its rules and a `[[rule]]` for each; the fields of `Rule` are the keys.
`streams.alerts.comparison` compares windows with them, `streams.alerts.judge` keeps the alerts.
"""

import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from aggregates.areas.codes import is_code
from ingest.vocabulary.air_index import INDICES
from ingest.vocabulary.quantities import QUANTITIES
from ingest.vocabulary.sources import SOURCES, SourceClass, source_of_sensor
from ingest.vocabulary.values import duration

SHIPPED = Path(__file__).with_name("rules")
Level = Literal["5m", "1h", "1d", "clock"]
NotifyKind = Literal["raised", "updated", "cleared", "cannot_judge"]
SECONDS = {"5m": 300, "1h": 3600, "1d": 86_400, "clock": 60}
LONGEST = timedelta(days=3660)  # that a rule may wait or look back
_MICROSECOND = timedelta(microseconds=1)
# How long an open alert waits for a window that can be judged: then it is `cannot_judge`, and in the end cleared.
_PATIENCE = {"5m": "30m", "1h": "6h", "1d": "3d", "clock": "1h"}
_FORGET = {"5m": "6h", "1h": "2d", "1d": "7d", "clock": "7d"}
_LATE = {"5m": "1h", "1h": "1d", "1d": "3d", "clock": "1h"}
EVIDENCE = ("coverage", "flagged", "warned", "failed", "stuck")  # statistics that need no valid window
PROBES = ("silence", "drift", "coverage_today")  # statistics of now, judged by the clock
# What a text is filled with, as `streams.alerts.episodes.Transition.text` does: numbers come as texts, written already.
_FIGURES = {"value": "-", "threshold": "-", "usual": "-", "unit": "", "windows": 1, "coverage": "-"}


AtLeastOne = Annotated[int, Meta(ge=1, le=10_000)]


class BadRule(ValueError):  # noqa: N818 - named for the reaction: the user corrects the rule
    """A rule that cannot work; the text names file, rule, key and reason."""


class Baseline(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """
    What is usual for an hour: the median of the last `weeks` hours of its kind, from at most `reach` weeks back.

    The statistic becomes (value - median) / spread, the spread being 1.4826 x MAD (the standard deviation of a normal
    distribution; Rousseeuw & Croux 1993), but at least `floor` and at least `share` of the median. Fewer than `samples`
    valid hours: cannot judge.
    """

    weeks: int = 6
    reach: int = 26
    samples: int = 4
    floor: float = 1.0
    share: float = 0.1


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
    level: Level
    statistic: str = "value"
    direction: Literal["above", "below"] = "above"
    raise_at: float = msgspec.field(name="raise")
    clear_at: float | None = msgspec.field(name="clear", default=None)
    inclusive: bool = False
    windows: AtLeastOne = 1
    clear_windows: AtLeastOne = 1
    least: float | None = None  # smallest usual value, or number of readings, that is worth judging
    coverage: Annotated[float, Meta(ge=0, le=1)] | None = None
    precision: Annotated[int, Meta(ge=0, le=15)] | None = None
    precision_source: str = ""
    baseline: Baseline | None = None
    share_of: str = ""  # regular expression of the channels of the classes whose share of the count is judged
    per: Literal["sensor", "area"] = "sensor"
    sensors: Annotated[tuple[str, ...], Meta(min_length=1)] = ("*",)
    areas: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    classes: Annotated[tuple[SourceClass, ...], Meta(min_length=1)] = tuple(SourceClass)
    severity: Literal["info", "warning", "critical"] = "warning"
    text: str = ""
    text_nl: str = ""
    channels: Annotated[tuple[str, ...], Meta(min_length=1)] = ("operators",)
    notify: tuple[NotifyKind, ...] = ("raised", "cleared", "cannot_judge")
    late: Literal["quiet", "tell"] = "quiet"
    late_after: str = ""
    retrospect: str = ""  # windows that are older are not judged any more
    patience: str = ""
    forget: str = ""
    worse: Annotated[float, Meta(gt=1)] | None = None  # an update each time the value grows by this factor
    first: date | None = None
    last: date | None = None
    source: str = ""
    owner: str = ""
    runbook: str = ""
    pack: str = ""

    @property
    def clear(self) -> float:
        """The value that clears, the raise threshold where none is given."""
        return self.raise_at if self.clear_at is None else self.clear_at

    @property
    def unit(self) -> str:
        """The unit of its values."""
        if self.statistic in EVIDENCE or self.statistic == "coverage_today" or self.share_of:
            return "share"
        if self.statistic in PROBES:
            return {"silence": "intervals", "drift": "s"}[self.statistic]
        return QUANTITIES[self.quantity].unit if self.quantity in QUANTITIES else "index"

    @property
    def length(self) -> int:
        """Seconds of a window, of a day the usual ones."""
        return SECONDS[self.level]

    @cached_property
    def times(self) -> dict[str, int]:
        """`patience`, `forget`, `late_after` and `retrospect` in microseconds; 0 is no limit."""
        given = {
            "patience": self.patience or _PATIENCE[self.level], "forget": self.forget or _FORGET[self.level],
            "late_after": self.late_after or _LATE[self.level],
            "retrospect": self.retrospect or ("1d" if self.level == "5m" else "2d" if self.baseline else "0s"),
        }  # fmt: skip
        return {key: duration(text, may_be_zero=True) // _MICROSECOND for key, text in given.items()}

    def applies_to(self, subject: str) -> bool:
        """Tell whether a subject is one of its sensors or areas, by name and source alone."""
        if self.per == "area":
            return not self.areas or subject in self.areas
        source = SOURCES.get(source_of_sensor(subject))
        known = source is None or source.source_class in self.classes
        return known and any(fnmatchcase(subject, pattern) for pattern in self.sensors)

    def beyond(self, values: NDArray[np.float64], threshold: float) -> NDArray[np.bool_]:
        """Tell which values are beyond a threshold, after rounding (half up) where the rule rounds; NaN never is."""
        if self.precision is not None:
            ten = 10.0**self.precision
            values = np.floor(values * ten + 0.5) / ten
        sign = 1.0 if self.direction == "above" else -1.0
        return sign * values >= sign * threshold if self.inclusive else sign * values > sign * threshold


@dataclass(frozen=True, slots=True)
class RuleBook:
    """All rules, by name."""

    rules: tuple[Rule, ...]

    def of(self, *levels: str) -> list[Rule]:
        """The rules of these levels."""
        return [rule for rule in self.rules if rule.level in levels]

    def __getitem__(self, name: str) -> Rule:
        for rule in self.rules:
            if rule.name == name:
                return rule
        raise KeyError(name)


def load_rules(directories: Sequence[Path] = (), shipped: Path = SHIPPED) -> RuleBook:
    """
    Load every pack; a user's file replaces the shipped pack with the same name.

    Raises BadRule for a rule that cannot work.
    """
    own = [path for folder in directories for path in sorted(folder.glob("*.toml"))]
    taken = {path.name for path in own}
    paths = [*(path for path in sorted(shipped.glob("*.toml")) if path.name not in taken), *own]
    rules = tuple(rule for path in paths for rule in load_pack(path))
    by_name: dict[str, Rule] = {}
    for rule in rules:
        if rule.name in by_name:
            raise BadRule(
                f"{rule.pack}: rule {rule.name!r}: name: a second rule, the other is in {by_name[rule.name].pack}"
            )
        by_name[rule.name] = rule
    return RuleBook(rules)


def load_pack(path: Path) -> list[Rule]:
    """Load one file; raises BadRule for a rule that cannot work."""
    try:
        text = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadRule(f"{path}: {error}") from error
    if unknown := text.keys() - {"pack", "defaults", "rule"}:
        raise BadRule(f"{path}: {min(unknown)}: no such key, expected pack, defaults and rule")
    return [_rule(path, at, {**text.get("defaults", {}), **found}) for at, found in enumerate(text.get("rule", []), 1)]


def _rule(path: Path, at: int, found: dict[str, Any]) -> Rule:
    place = f"{path}: rule {found.get('name') or at!r}"
    try:
        rule = msgspec.convert({**found, "pack": str(path.stem)}, Rule)
    except msgspec.ValidationError as error:
        reason, _, key = str(error).partition(" - at `$.")
        where = f"{key.rstrip('`')}: " if key else ""
        raise BadRule(f"{place}: {where}{reason[:1].lower()}{reason[1:]}") from error
    for key, reason in _problems(rule):
        raise BadRule(f"{place}: {key}: {reason}")
    return rule


def _problems(rule: Rule) -> Iterator[tuple[str, str]]:
    """Give the keys that cannot work, each with the reason."""
    yield from _subject_problems(rule)
    yield from _threshold_problems(rule)
    for key in ("patience", "forget", "late_after", "retrospect"):
        text = getattr(rule, key) or "0s"
        try:
            if duration(text, may_be_zero=True) > LONGEST:
                yield key, f"{text!r}, expected at most {LONGEST.days}d"
        except ValueError:
            yield key, f"{text!r}, expected a number and s, m, h, d or w, as 90m"
    if rule.first and rule.last and rule.first >= rule.last:
        yield "last", f"{rule.last} is not after first {rule.first}"
    for key in ("text", "text_nl"):
        try:
            getattr(rule, key).format(**_FIGURES)
        except (LookupError, ValueError, TypeError, AttributeError) as error:
            yield key, f"{error}: it cannot be filled in, expected {', '.join(_FIGURES)}, numbers without a format"


def _subject_problems(rule: Rule) -> Iterator[tuple[str, str]]:
    known = (*QUANTITIES, *INDICES, "any")
    if rule.quantity not in known:
        yield "quantity", f"{rule.quantity!r}, expected one of {', '.join(known)}"
    if rule.quantity in INDICES and rule.level != "1h":
        yield "level", f"{rule.level!r}, expected '1h': {rule.quantity} is an hourly index"
    if (rule.statistic in PROBES) != (rule.level == "clock"):
        yield "level", f"{rule.level!r} with statistic {rule.statistic!r}: {', '.join(PROBES)} are judged by the clock"
    if rule.statistic not in ("value", *EVIDENCE, *PROBES):
        yield "statistic", f"{rule.statistic!r}, expected value, {', '.join((*EVIDENCE, *PROBES))}"
    if rule.quantity == "any" and rule.statistic == "value":
        yield "statistic", "'value' of any quantity, expected one of the evidence"
    if rule.per == "area" and (rule.level not in ("1h", "1d") or rule.statistic not in ("value", "coverage")):
        yield "per", "'area' with this level or statistic, expected the value or coverage of 1h or 1d"
    for code in rule.areas:
        if not is_code(code):
            yield "areas", f"{code!r}, expected a code as GM0014, WK001400 or BU00140002"


def _threshold_problems(rule: Rule) -> Iterator[tuple[str, str]]:
    if (rule.clear - rule.raise_at) * (1 if rule.direction == "above" else -1) > 0:
        yield "clear", f"{rule.clear:g} lies beyond raise {rule.raise_at:g}, direction {rule.direction}"
    if rule.level == "clock" and rule.windows > 1:
        yield "windows", f"{rule.windows}, expected 1: the clock has no windows"
    if rule.precision is not None and not rule.precision_source:
        yield "precision", "without a precision_source"
    if rule.baseline and (rule.level != "1h" or rule.quantity not in QUANTITIES or rule.per == "area"):
        yield "baseline", "expected level '1h', a quantity and sensors: it compares hours of the week"
    if rule.share_of and (rule.level != "1h" or rule.baseline or rule.quantity != "vehicle_count"):
        yield "share_of", "expected the vehicle_count of an hour without a baseline"
    try:
        re.compile(rule.share_of)
    except re.error as error:
        yield "share_of", f"{rule.share_of!r}: {error}"
