"""
Does to a distributed hub what `hub.chaos.plan` says, and sees how long it takes to recover.

Deeds overlap: each is done in a thread of its own, while the next one is due. What is killed among the services is
started again by the supervisor (`hub.rig.chain.supervised`), as a service manager would; servers are started here.
"""

import signal
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from random import Random
from typing import Protocol

import structlog

from hub.chaos.plan import Deed, Event, Part
from hub.rig.chain import Chain
from hub.rig.database import DatabaseServer
from hub.rig.relay import Relay
from hub.rig.service import Service
from hub.servers import CannotStart

_BACK_WITHIN = 120.0  # s
_LEAVES_WITHIN = 60.0

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Done:
    """A deed that was done: to whom, how many seconds until it was back, and what was odd about it."""

    event: Event
    at: float
    who: str
    waiting: int
    back: float | None = None
    note: str = ""


class Killable(Protocol):
    """A server that can be killed, and started on what it has on disk."""

    def kill(self) -> None:
        """Kill -9."""

    def start(self) -> object:
        """Start, and return when it is ready."""


class Deeds:
    """Everything that can be done to `chain`; `waiting` tells how many readings are on their way."""

    def __init__(
        self, chain: Chain, server: DatabaseServer | None, relays: Mapping[Part, Relay], seed: int,
        waiting: Callable[[], int],
    ) -> None:  # fmt: skip
        self.done: list[Done] = []
        self._chain, self._relays, self._waiting = chain, relays, waiting
        self._servers: dict[Part, Killable] = {Part.BROKER: chain.broker, Part.KAFKA: chain.kafka}
        if server is not None:
            self._servers[Part.DATABASE] = server
        self._chance = Random(seed)
        self._threads = ThreadPoolExecutor(16, "deed")
        self._running: list[Future[None]] = []
        self._one_at_a_time = {part: threading.Lock() for part in Part}

    def can(self, deed: Deed, part: Part) -> bool:
        """Tell whether this can be done here: a database elsewhere cannot be killed."""
        return (deed, part) != (Deed.KILL, Part.DATABASE) or part in self._servers

    def begin(self, event: Event, at: float) -> Done:
        """Begin a deed, and let it run."""
        done = Done(event, at, str(event.part), self._waiting())
        self.done.append(done)
        self._running.append(self._threads.submit(self._do, done))
        return done

    def finish(self) -> None:
        """Wait until all is back."""
        for running in self._running:
            running.result()
        self._threads.shutdown()

    def _do(self, done: Done) -> None:
        event = done.event
        deed = {
            Deed.KILL: self._kill, Deed.JOIN: self._join, Deed.LEAVE: self._leave, Deed.CUT: self._cut,
            Deed.FREEZE: self._freeze,
        }[event.deed]  # fmt: skip
        with self._one_at_a_time[event.part]:
            began = time.monotonic()
            try:
                deed(event, done)
                done.back = time.monotonic() - began
            except (CannotStart, TimeoutError, OSError) as error:
                done.note = str(error)[-200:]
                log.warning("a part did not come back", part=str(event.part), error=str(error))

    def _kill(self, event: Event, done: Done) -> None:
        if event.part in (Part.COLLECTOR, Part.WORKER, Part.ROLLUP):
            service = self._one_of(event.part, done)
            service.kill()
            _wait_ready(service)
            return
        server = self._servers[event.part]
        server.kill()
        time.sleep(event.seconds)
        server.start()

    def _join(self, event: Event, done: Done) -> None:
        service = self._chain.service({Part.COLLECTOR: "collect", Part.WORKER: "work"}[event.part])
        done.who = service.name
        service.start()
        self._members(event.part).append(service)
        _wait_ready(service)

    def _leave(self, event: Event, done: Done) -> None:
        service = self._one_of(event.part, done)
        if len(self._members(event.part)) > 1:
            self._members(event.part).remove(service)
            if code := service.stop(_LEAVES_WITHIN):
                done.note = f"ended with {code}"
        else:
            done.note = "the last one, it stays"

    def _cut(self, event: Event, done: Done) -> None:
        relay = self._relays[event.part]
        relay.cut()
        time.sleep(event.seconds)
        reset = self._chance.random() < 0.5
        relay.mend(reset=reset)
        done.note = "hung connections were reset" if reset else "hung connections went on"

    def _freeze(self, event: Event, done: Done) -> None:
        service = self._one_of(event.part, done)
        service.send(signal.SIGSTOP)
        time.sleep(event.seconds)
        service.send(signal.SIGCONT)
        _wait_ready(service)

    def _members(self, part: Part) -> list[Service]:
        chain = self._chain
        return {Part.COLLECTOR: chain.collectors, Part.WORKER: chain.workers}.get(part, [chain.rollup])

    def _one_of(self, part: Part, done: Done) -> Service:
        service = self._chance.choice(self._members(part))
        done.who = service.name
        return service


def _wait_ready(service: Service) -> None:
    # Not `Service.wait_ready`: between its death and its start by the supervisor it may be gone.
    deadline = time.monotonic() + _BACK_WITHIN
    while not (service.alive and service.ready):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{service.name} is not ready after {_BACK_WITHIN:.0f} s")
        time.sleep(0.1)
