"""
Disturbs a distributed hub as `lab.chaos.plan` plans it, and measures how long it takes to recover.

Disturbances overlap: each has a thread of its own. A service that is killed is started again by the supervisor
(`lab.rig.chain.supervised`), as a service manager would; a server is started again here.
"""

import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from random import Random

import structlog

from aggregates.store.errors import StoreError
from aggregates.store.store import Store
from hub.servers.process import CannotStart
from ingest.mqtt.client import refusal
from lab.chaos.plan import POSSIBLE, Action, Event, Part
from lab.rig.broker import Broker
from lab.rig.chain import Chain
from lab.rig.database import DatabaseServer
from lab.rig.kafka import KafkaServer
from lab.rig.relay import Relay
from lab.rig.service import Service

_BACK_WITHIN = 120.0  # s
_LEAVES_WITHIN = 60.0

# Statement triggers: the same error for COPY and INSERT, on any edition, and no root is needed.
REFUSE = """
CREATE OR REPLACE FUNCTION chaos_refuses() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'chaos refuses %', TG_TABLE_NAME USING ERRCODE = TG_ARGV[0]; END $$;
DROP TRIGGER IF EXISTS chaos ON {table};
CREATE TRIGGER chaos BEFORE INSERT OR UPDATE ON {table} FOR EACH STATEMENT EXECUTE FUNCTION chaos_refuses('{code}');
"""
ACCEPT = "DROP TRIGGER IF EXISTS chaos ON {table}"

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Outcome:
    """A disturbance: of whom, seconds until it was back (None: it never was), and what was unusual about it."""

    event: Event
    at: float
    who: str
    waiting: int
    back: float | None = None
    note: str = ""


class Disturbances:
    """Everything that can be done to `chain`; `waiting` gives how many readings are on their way."""

    def __init__(
        self, chain: Chain, server: DatabaseServer | None, relays: Mapping[Part, Relay], seed: int,
        waiting: Callable[[], int],
    ) -> None:  # fmt: skip
        self.outcomes: list[Outcome] = []
        self._chain, self._relays, self._waiting = chain, relays, waiting
        self._servers: dict[Part, Broker | KafkaServer | DatabaseServer] = {
            Part.BROKER: chain.broker,
            Part.KAFKA: chain.kafka,
        }
        if server is not None:
            self._servers[Part.DATABASE] = server
        self._chance = Random(seed)
        self._threads = ThreadPoolExecutor(16, "action")
        self._running: list[Future[None]] = []
        self._locks = {pair: threading.Lock() for pair in POSSIBLE}
        self._busy: set[Service] = set()

    def can(self, action: Action, part: Part) -> bool:
        """Whether this can be done here: a database elsewhere cannot be killed."""
        return (action, part) != (Action.KILL, Part.DATABASE) or part in self._servers

    def begin(self, event: Event, at: float) -> Outcome:
        """Begin a disturbance, and let it run."""
        outcome = Outcome(event, at, str(event.part), self._waiting())
        self.outcomes.append(outcome)
        self._running.append(self._threads.submit(self._do, outcome))
        return outcome

    def finish(self) -> None:
        """Wait until all is back."""
        for running in self._running:
            running.result()
        self._threads.shutdown()

    def _do(self, outcome: Outcome) -> None:
        event = outcome.event
        action = {
            Action.KILL: self._kill, Action.JOIN: self._join, Action.LEAVE: self._leave, Action.CUT: self._cut,
            Action.FREEZE: self._freeze, Action.STOP: self._stop, Action.FILL: self._refuse,
            Action.BREAK: self._refuse, Action.TAKE: self._take,
        }[event.action]  # fmt: skip
        due = time.monotonic()
        try:
            with self._locks[event.action, event.part], self._whom(event, outcome) as service:
                began = time.monotonic()
                outcome.at += began - due  # where the one before it had not ended
                action(event, outcome, service)
                outcome.back = time.monotonic() - began
        except (CannotStart, TimeoutError, OSError) as error:
            outcome.note = str(error)[-200:]
            log.warning("a part did not come back", part=str(event.part), error=str(error))

    @contextmanager
    def _whom(self, event: Event, outcome: Outcome) -> Iterator[Service | None]:
        """Choose a service that is not disturbed now, waiting for one; None where the part is a server."""
        if event.part in self._relays:
            yield None
            return
        service = self._new(event.part) if event.action is Action.JOIN else self._idle(event.part)
        outcome.who = service.name
        try:
            yield service
        finally:
            self._busy.discard(service)

    def _idle(self, part: Part) -> Service:
        deadline = time.monotonic() + _BACK_WITHIN
        while time.monotonic() < deadline:
            idle = [service for service in self._members(part) if service not in self._busy]
            if idle:
                service = self._chance.choice(idle)
                self._busy.add(service)
                return service
            time.sleep(0.1)
        raise TimeoutError(f"no {part} that nothing is being done to")

    def _new(self, part: Part) -> Service:
        service = self._chain.service({Part.COLLECTOR: "collect", Part.WORKER: "work"}[part])
        self._busy.add(service)
        return service

    def _kill(self, event: Event, outcome: Outcome, service: Service | None) -> None:
        if service is not None:
            service.kill()
            _wait_ready(service)
            return
        server = self._servers[event.part]
        server.kill()
        time.sleep(event.seconds)
        server.start()

    def _join(self, event: Event, outcome: Outcome, service: Service | None) -> None:
        assert service is not None
        service.start()
        self._members(event.part).append(service)
        _wait_ready(service)

    def _leave(self, event: Event, outcome: Outcome, service: Service | None) -> None:
        assert service is not None
        if len(self._members(event.part)) < 2:
            outcome.note = "the last one, it stays"
            return
        self._members(event.part).remove(service)
        try:
            if code := service.stop(_LEAVES_WITHIN):
                outcome.note = f"ended with {code}"
        except subprocess.TimeoutExpired:  # what a service manager does then; what it leaves behind is drained
            service.kill()
            outcome.note = f"killed, it did not leave within {_LEAVES_WITHIN:.0f} s"

    def _cut(self, event: Event, outcome: Outcome, service: Service | None) -> None:
        relay = self._relays[event.part]
        relay.cut()
        time.sleep(event.seconds)
        reset = self._chance.random() < 0.5
        relay.mend(reset=reset)
        outcome.note = "hung connections were reset" if reset else "hung connections went on"

    def _freeze(self, event: Event, outcome: Outcome, service: Service | None) -> None:
        frozen = service or self._chain.broker
        frozen.send(signal.SIGSTOP)
        time.sleep(event.seconds)
        frozen.send(signal.SIGCONT)
        for one in [service] if service else list(self._chain.collectors):
            _wait_ready(one, self._chain.collectors if service is None else None)

    def _stop(self, event: Event, outcome: Outcome, service: Service | None) -> None:
        """Stop a service as a user does; the supervisor starts it again."""
        assert service is not None
        if code := service.stop(_LEAVES_WITHIN):
            outcome.note = f"ended with {code}"
        _wait_ready(service)

    def _refuse(self, event: Event, outcome: Outcome, service: Service | None) -> None:
        """Let the database refuse readings as with a full disk, or let judging raise by what it writes."""
        table, code = {Action.FILL: ("reading", "53100"), Action.BREAK: ("alert", "P0001")}[event.action]
        self._script(REFUSE.format(table=table, code=code))
        time.sleep(event.seconds)
        outcome.note = f"{self._waiting():,} readings waited, {unjudged(self._chain.database)} rules were not judged"
        self._script(ACCEPT.format(table=table))
        for one in list(self._chain.workers):
            _wait_ready(one, self._chain.workers)

    def _script(self, text: str) -> None:
        """Change the database, waiting for it where it is away itself."""
        deadline = time.monotonic() + _BACK_WITHIN
        with closing(Store(self._chain.database, application="stadspuls chaos")) as store:
            while True:
                try:
                    with store.transaction() as tx:
                        return tx.script(text)
                except StoreError as error:
                    if time.monotonic() > deadline:
                        raise TimeoutError(f"the database does not take {text[:40]!r}: {error}") from error
                    time.sleep(0.5)

    def _take(self, event: Event, outcome: Outcome, service: Service | None) -> None:
        """Connect as the hub's sessions might be called; who guessed one would end it, and with it what waits there."""
        assert service is not None
        for number in range(len(self._chain.collectors) + 1):
            for name in (f"stadspuls-{number}", service.name, f"slot-{number}"):
                refusal(self._chain.broker.address(), 5.0, name)
        _wait_ready(service)

    def _members(self, part: Part) -> list[Service]:
        chain = self._chain
        return {Part.COLLECTOR: chain.collectors, Part.WORKER: chain.workers}.get(part, [chain.rollup])


def unjudged(database: str) -> int:
    """Count the rules with windows that could not be judged, and are to be judged again; -1 without the database."""
    with closing(Store(database, application="stadspuls chaos")) as store:
        try:
            return sum(row[-1] != "" for row in store.rows("list_unjudged"))
        except StoreError:
            return -1


def _wait_ready(service: Service, among: Sequence[Service] | None = None) -> None:
    """Wait for a service, of several as long as it is one of them: it may leave meanwhile."""
    # Not `Service.wait_ready`: between its death and its start by the supervisor it may be gone.
    deadline = time.monotonic() + _BACK_WITHIN
    while (among is None or service in among) and not (service.alive and service.ready):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{service.name} is not ready after {_BACK_WITHIN:.0f} s")
        time.sleep(0.1)
