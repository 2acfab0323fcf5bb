"""
Parts of a service: how they are started and stopped, how long each may take to end, and what keeps one from its work.

`Background` is a part with a thread of its own, `Turns` one that does the same again and again. `hub.web.http` shows
their `trouble` at `/readyz`.
"""

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Self

import structlog

from aggregates.store.errors import StoreError
from aggregates.store.migrate import Edition, migrate
from aggregates.store.store import Store
from hub.servers.process import CannotStart
from hub.settings.settings import Settings
from ingest.vocabulary.backoff import pause

if TYPE_CHECKING:
    from ingest.log.topics import Topics

END_WITHIN = 6.0  # s that a part with work in hand may take; what is not done is done again after the next start
SILENT = 60.0  # s that one step may take before its part counts as stuck
LONGEST_PAUSE = 30.0  # s before a part that fails is tried again

log = structlog.get_logger(__name__)


def needed(settings: Settings, key: str, example: str) -> str:
    """Give a setting that a service cannot do without; raises CannotStart where it has no value."""
    if not (found := getattr(settings, key)):
        raise CannotStart(f"no {key} named, expected --{key} {example}")
    return str(found)


def migrated(store: Store, settings: Settings) -> Edition:
    """Bring the schema of a database up to date; raises StoreError."""
    edition = migrate(store, settings.timezone, settings.chunk_interval)
    # Before a backlog comes: hours that are not closed are summed anew for each question.
    store.rows("close_hours", until=datetime.now(UTC) - timedelta(seconds=settings.rollup_grace))
    return edition


def topics(settings: Settings) -> "Topics":
    """Give the log that the settings name; raises CannotStart where they name none."""
    from ingest.log.topics import Access, Topics  # with the client of Kafka, which the embedded hub does not need

    given = {one.name: getattr(settings, f"kafka_{one.name}") for one in fields(Access)}
    given["password"] = given["password"] and given["password"].get_secret_value()
    return Topics(
        needed(settings, "kafka", "host:port"), settings.kafka_topic, settings.kafka_dead_letters,
        partitions=settings.kafka_partitions, replicas=settings.kafka_replicas, access=Access(**given),
    )  # fmt: skip


class Background(ABC):
    """
    A part that works in a thread of its own while its `with` block runs, or between `start` and `stop`.

    No error ends the thread. A database that is away and what the system refuses are warnings; anything else is a bug,
    which is logged with its trace and counted in `bugs`. All are tried again, later each time, and `trouble` names them
    meanwhile.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.bugs = 0
        self.stopping = threading.Event()
        self._failing: dict[str, str] = {}
        self._failures, self._stepped = 0, time.monotonic()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, seconds: float) -> None:
        """End, and wait at most so long for it."""
        self.stopping.set()
        self._thread.join(seconds)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop(END_WITHIN)

    @abstractmethod
    def run(self) -> None:
        """Work until `stopping` is set."""

    @property
    def trouble(self) -> list[str]:
        """Say what keeps it from its work; nothing while it works."""
        return [f"{what}: {why}" for what, why in dict(self._failing).items()]

    def step(self, what: str, do: Callable[[], object]) -> bool:
        """Do a part of the work, and note whether it failed, and when it ended."""
        try:
            do()
        except StoreError as error:
            self._failing[what] = f"the database: {error}"
            if not self.stopping.is_set():
                log.warning("waits for the database", part=self.name, step=what, error=str(error))
        except (CannotStart, OSError) as error:
            self._failing[what] = str(error)
            log.warning("is tried again", part=self.name, step=what, error=str(error))
        except Exception as error:
            self.bugs += 1
            self._failing[what] = f"{type(error).__name__}: {error}"
            log.exception("a bug, it is tried again", part=self.name, step=what)
        else:
            self._failing.pop(what, None)
        self._stepped = time.monotonic()
        return what not in self._failing

    def wait(self, seconds: float) -> bool:
        """Wait so long, longer each time while something fails; True when it is to end."""
        self._failures = self._failures + 1 if self._failing else 0
        longer = pause(self._failures, 1.0, LONGEST_PAUSE) if self._failing else 0.0
        return self.stopping.wait(max(seconds, longer))

    def _run(self) -> None:
        while not self.step(self.name, self.run) and not self.wait(0.0):
            pass


class Turns(Background):
    """A part that takes a turn every so many seconds, and `close`s its session; stuck when a step takes too long."""

    def __init__(
        self, name: str, every: float, turn: Callable[[], object], close: Callable[[], object] = lambda: None
    ) -> None:
        super().__init__(name)
        self._every, self._take, self._close = every, turn, close

    def run(self) -> None:
        """Take turns; after a bug in a new session, so that locks of the old one go to whoever waits for them."""
        while not self.wait(self._every):
            self._stepped = time.monotonic()
            bugs = self.bugs
            self.step(f"turn of {self.name}", self._take)
            if self.bugs > bugs:
                self._close()
        self._close()

    @property
    def trouble(self) -> list[str]:
        """Say what keeps it from its work; nothing while it works, or before it is started."""
        if self._thread.ident is None or self.stopping.is_set():
            return []
        if not self._thread.is_alive():
            return [f"{self.name} has ended"]
        silent = time.monotonic() - self._stepped
        stuck = [f"{self.name} has been at one step for {silent:.0f} s"] if silent > SILENT else []
        return stuck + super().trouble
