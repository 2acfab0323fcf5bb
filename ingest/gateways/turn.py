"""
What a gateway is: a job, which is a function of a `Turn`, done again and again.

`ingest.gateways.poll` and `ingest.gateways.ndw` have the functions, `ingest.gateways.schedule` does the turns.
"""

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple, TypeVar

import shapely
import structlog

from ingest.files.sections import Section
from ingest.gateways.memory import Memory
from ingest.gateways.web import FormChanged, Web
from ingest.mqtt.address import Address
from ingest.mqtt.sender import Sender

R = TypeVar("R")
T = TypeVar("T")

log = structlog.get_logger("ingest.gateways")


class Counts:
    """
    What a job did since the process began: events by name and kind, and when things came last (s since 1970, 0: never).

    The job's thread writes, `hub.run.gateways` reads: single additions to a dict, which Python does not tear.

    Names: `requests` (kind: outcome), `turns` (good, failed), `measurements` (new, known), `messages`, `odd`,
    `form_changes`, `gaps`.
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


class Job(NamedTuple):
    """
    Something that is done again and again at one source.

    `host` is the beginning of its addresses, `pace` the requests in a time that its operator allows, `keep` how long a
    published measurement is remembered after it was last met.
    """

    name: str
    poll: Callable[["Turn"], None]
    host: str
    every: timedelta
    pace: tuple[int, timedelta] = (60, timedelta(minutes=1))
    keep: timedelta = timedelta(days=2)


class Plan(NamedTuple):
    """
    What gateways need to know: which, for which region, to which broker, and where their memory is.

    `sites` is the file of NDW's site table, `timeout` the seconds that a host may send nothing.
    """

    jobs: Sequence[Job]
    broker: Address
    directory: Path
    sites: Path
    region: Region | None = None
    timeout: float = 45.0
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)


class Turn:
    """A job's looks at a source, one after the other: where to ask, what is known, and how to publish."""

    def __init__(self, job: Job, plan: Plan, stop: threading.Event) -> None:
        self.job, self.plan, self.stop = job, plan, stop
        self.now, self.region, self.sites = plan.clock(), plan.region, plan.sites
        self.counts, self.memory = Counts(job.name), Memory(plan.directory / f"{job.name}.sqlite")
        self.web = Web(
            job.host, job.pace, lambda: plan.clock().timestamp(), self.counts.add, self.memory, stop, plan.timeout,
            plan.directory / f"{job.name}.part",
        )  # fmt: skip
        self.sender = Sender(plan.broker)

    def covers(self, place: Sequence[float] | None) -> bool:
        """Tell whether a place, longitude and latitude, is in the region; without one everything is, known or not."""
        return self.region is None or (place is not None and self.region.contains(*place[:2]))

    def readable(self, records: Iterable[R], read: Callable[[R], T]) -> Iterator[T]:
        """
        Read the records of an answer; those that cannot be read are passed over, and logged in one line.

        Raises FormChanged at the end where that is every one of them.
        """
        good, unread, last = 0, 0, ""
        for record in records:
            try:
                found = read(record)
            except ValueError as error:
                unread, last = unread + 1, str(error)
                continue
            good += 1
            yield found
        if unread:
            self.unreadable(f"{unread} of {good + unread} records: {last}")
        if unread and not good:
            raise FormChanged(f"none of {unread} records can be read: {last}")

    def publish(self, topic: str, measurements: Iterable[Measurement], head: str = "", tail: str = "") -> None:
        """Publish those that are new, in as few messages as they fit in, with commas between them."""
        found, now = list(measurements), int(self.now.timestamp())
        new = [one for one in found if self.memory.is_new(one.key, one.mark, now)]
        self.counts.add("measurements", "new", len(new))
        self.counts.add("measurements", "known", len(found) - len(new))
        section = Section(topic, [one.text for one in new], head.encode(), b",", tail.encode())
        for piece in section.pieces(section.parts):
            self.send(topic, section.message(piece).payload)
        self.memory.publish({one.key: one.mark for one in new}, now)
        self.counts.newest = max(self.counts.newest, *(one.when.timestamp() for one in new), 0)

    def send(self, topic: str, payload: bytes) -> None:
        """Publish one message; waits while the broker is behind."""
        try:
            self.sender.publish(topic, payload)
            self.counts.add("messages")
        except ValueError as error:  # too large for any broker: a bug here, or a faulty answer
            self.unreadable(str(error))

    def unreadable(self, text: str) -> None:
        """Count and log a part of an answer that cannot be read; the rest of it goes on."""
        self.counts.add("odd")
        log.warning("part of an answer cannot be read", gateway=self.counts.job, found=text[:300])
