"""
The open sources that the hub can poll, and what a gateway is: a function of a `Turn`.

A module of this package registers its jobs with `@gateway`; `ingest.gateways.schedule` runs them, `load_gateways` finds
them. Most sources are one job; NDW has a second one for its site table.
"""

import importlib
import pkgutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import msgspec
import shapely
import structlog

import ingest.gateways
from ingest.gateways.memory import Memory
from ingest.gateways.web import FormChanged, Web
from ingest.vocabulary.readings import BadPayload

R = TypeVar("R")
T = TypeVar("T")

log = structlog.get_logger("ingest.gateways")

Send = Callable[[str, bytes], None]


class Counts:
    """
    What a job did since the process began: events by name and kind, and when things came last (s since 1970, 0: never).

    The job's thread writes, `hub.run.gateways` reads: single additions to a dict, which Python does not tear.

    Names: `requests` (kind: outcome), `turns` (good, failed), `messages`, `known`, `odd`, `form_changes`, `gaps`, and
    what a gateway adds.
    """

    def __init__(self, job: str) -> None:
        self.job = job
        self.events: Counter[tuple[str, str]] = Counter()
        self.succeeded = 0.0
        self.newest = 0.0
        self.failures = 0  # turns in a row

    def add(self, name: str, kind: str = "", number: int = 1) -> None:
        """Count something."""
        self.events[name, kind] += number

    def total(self, name: str) -> int:
        """Give how often something happened, of any kind."""
        return sum(number for (known, _), number in list(self.events.items()) if known == name)


class Measurement(NamedTuple):
    """One measurement of an answer: what names it, what tells its value from others, its stamp, and its text."""

    key: str
    mark: str
    when: datetime
    text: bytes


class Region:
    """A named part of the country that a gateway is cut to, in degrees (WGS84); the whole country is None."""

    def __init__(self, name: str, shape: shapely.Geometry) -> None:
        self.name = name
        self._shape = shape
        shapely.prepare(shape)

    @classmethod
    def box(cls, text: str) -> "Region":
        """
        Read "west,south,east,north" in degrees; raises ValueError for anything else.

        >>> Region.box("6.4,53.1,6.7,53.3").contains(6.57, 53.22)
        True
        """
        try:
            west, south, east, north = (float(part) for part in text.split(","))
        except ValueError:
            raise ValueError(f"{text!r}, expected west,south,east,north in degrees") from None
        if not (-180 <= west < east <= 180 and -90 <= south < north <= 90):
            raise ValueError(f"{text!r}, expected west below east and south below north, in degrees")
        return cls(text, shapely.box(west, south, east, north))

    def contains(self, lon: float | None, lat: float | None) -> bool:
        """Tell whether a place lies in the region; a place that is not known does not."""
        return lon is not None and lat is not None and bool(shapely.intersects_xy(self._shape, lon, lat))


@dataclass(slots=True)
class Turn:
    """
    A job's looks at a source, one after the other: where to ask, what is known, and how to publish.

    `sites` is the file of NDW's site table.
    """

    now: datetime
    region: Region | None
    web: Web
    memory: Memory
    counts: Counts
    sites: Path
    put: Send

    def readable(self, records: Iterable[R], read: Callable[[R], T]) -> Iterator[T]:
        """
        Read the records of an answer; those that cannot be read are passed over, and logged in one line.

        Raises FormChanged at the end where that is every one of them.
        """
        good, unread, last = 0, 0, ""
        for record in records:
            try:
                found = read(record)
            except (msgspec.ValidationError, BadPayload) as error:
                unread, last = unread + 1, str(error)
                continue
            good += 1
            yield found
        if unread:
            self.unreadable(f"{unread} of {good + unread} records: {last}")
        if unread and not good:
            raise FormChanged(f"none of {unread} records can be read: {last}")

    def publish(self, topic: str, measurements: Iterable[Measurement], head: bytes = b"", tail: bytes = b"") -> bool:
        """Publish those that are new as one message, with commas between them; False where none is new."""
        found, now = list(measurements), int(self.now.timestamp())
        new = [one for one in found if self.memory.is_new(one.key, one.mark, now)]
        self.counts.add("measurements", "new", len(new))
        self.counts.add("measurements", "known", len(found) - len(new))
        if new:
            self.send(topic, head + b",".join(one.text for one in new) + tail)
            self.memory.publish({one.key: one.mark for one in new}, now)
            self.counts.newest = max(self.counts.newest, *(one.when.timestamp() for one in new))
        return bool(new)

    def send(self, topic: str, payload: bytes) -> None:
        """Publish one message; waits while the broker is behind."""
        try:
            self.put(topic, payload)
        except ValueError as error:  # too large for any broker: a bug here, or a faulty answer
            self.unreadable(str(error))
        self.counts.add("messages")

    def unreadable(self, text: str) -> None:
        """Count and log a part of an answer that cannot be read; the rest of it goes on."""
        self.counts.add("odd")
        log.warning("part of an answer cannot be read", gateway=self.counts.job, found=text[:300])


Poll = Callable[[Turn], None]


@dataclass(frozen=True, slots=True)
class Job:
    """
    Something that is done again and again at one source.

    `host` is the beginning of its addresses, `every` the seconds from turn to turn, `pace` the requests in so many
    seconds that its operator allows, `keep` how long a published measurement is remembered after it was last met.
    """

    gateway: str
    name: str
    poll: Poll
    host: str
    every: float
    pace: tuple[int, float] = (60, 60.0)
    keep: timedelta = timedelta(days=2)


_jobs: dict[str, Job] = {}


def gateway(source: str, host: str, every: float, *, job: str = "", **more: Any) -> Callable[[Poll], Poll]:
    """Register a function as a job of the gateway to `source`; raises ValueError for a second one of that name."""
    name = f"{source}_{job}" if job else source

    def register(poll: Poll) -> Poll:
        if name in _jobs:
            raise ValueError(f"a second job {name!r}: {poll.__module__}")
        _jobs[name] = Job(source, name, poll, host, every, **more)
        return poll

    return register


def load_gateways() -> list[str]:
    """Load every module of the package, and name the gateways there are."""
    for module in pkgutil.iter_modules(ingest.gateways.__path__):
        importlib.import_module(f"ingest.gateways.{module.name}")
    return sorted({job.gateway for job in _jobs.values()})


def jobs(sources: Sequence[str]) -> list[Job]:
    """Give the jobs of these gateways; raises ValueError for a name that is none."""
    known = load_gateways()
    if unknown := [name for name in sources if name not in known]:
        raise ValueError(f"gateway {unknown[0]!r}, expected one of {', '.join(known)}")
    return [job for job in _jobs.values() if job.gateway in sources]
