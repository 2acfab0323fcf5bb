"""
Runs gateways: every job in a thread of its own, again and again, through every failure, until it is stopped.

A turn asks the source, publishes what is new, waits until the broker has it, and only then keeps what it learnt. So a
measurement is published once, also over a restart; after a kill -9 between the broker's answer and the file at most the
last turn's messages come again, and the fence counts them as duplicates.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import structlog

from ingest.gateways.memory import SUFFIX, Memory
from ingest.gateways.registry import Counts, Job, Region, Turn, jobs
from ingest.gateways.web import FIRST_WAIT, LONGEST_WAIT, FormChanged, GatewayStopped, SourceUnreachable, Web
from ingest.mqtt.address import Address
from ingest.mqtt.sender import BrokerRefused, Sender
from ingest.vocabulary.backoff import pause

log = structlog.get_logger("ingest.gateways")

_END_WITHIN = 5.0  # s for all threads together


@dataclass(frozen=True, slots=True)
class Plan:
    """What gateways need to know: which, for which region, to which broker, and where their memory is."""

    sources: tuple[str, ...]
    broker: Address
    directory: Path
    sites: Path
    region: Region | None = None
    hosts: Mapping[str, str] = field(default_factory=dict)
    timeout: float = 45.0  # s that a host may send nothing
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)


class Runner:
    """One job with its memory, its connection to the broker and its numbers."""

    def __init__(self, job: Job, plan: Plan, stop: threading.Event) -> None:
        self.job, self.counts = job, Counts(job.name)
        self._clock, self._stop = plan.clock, stop
        self._memory = Memory(plan.directory / f"{job.name}{SUFFIX}")
        host, clock = plan.hosts.get(job.gateway, job.host), lambda: plan.clock().timestamp()
        self.web = Web(host, job.pace, clock, self.counts.add, self._memory, stop, plan.timeout)
        self._sender = Sender(plan.broker)
        put = self._sender.publish
        self._turn = Turn(plan.clock(), plan.region, self.web, self._memory, self.counts, plan.sites, put)
        self._thread = threading.Thread(target=self._run, name=f"gateway-{job.name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def join(self, seconds: float) -> None:
        """Wait for the end of the turn that runs, then close what it used."""
        if self._thread.is_alive():
            self._thread.join(seconds / 2)
        self._sender.close()  # who waits for the broker waits no longer
        if self._thread.is_alive():
            self._thread.join(seconds / 2)
        self.web.close()
        if not self._thread.is_alive():  # else the end of the process closes it
            self._memory.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                wait = self.turn()
            except Exception:  # its memory could not be put right: a full disk, a damaged file
                log.exception("a gateway failed, it is tried again", gateway=self.job.name)
                wait = LONGEST_WAIT
            self._stop.wait(wait)

    def turn(self) -> float:
        """Do one turn, whatever comes of it; give the seconds until the next."""
        now = self._turn.now = self._clock()
        try:
            self._poll(int((now - self.job.keep).timestamp()))
        except GatewayStopped:
            return 0.0
        except Exception as error:
            return self._failed(error)
        if self.counts.failures:
            log.info("a source is back", gateway=self.job.name, after_failures=self.counts.failures)
        self.counts.failures, self.counts.succeeded = 0, now.timestamp()
        self.counts.add("turns", "good")
        return max(1.0, self.job.every - (self._clock() - now).total_seconds())

    def _poll(self, before: int) -> None:
        try:
            self.job.poll(self._turn)
        except Exception:
            self._flush()
            self._memory.keep_published(before)
            raise
        self._flush()
        self._memory.keep(before)

    def _flush(self) -> None:
        """Wait until the broker has everything; raises GatewayStopped when stopped before."""
        while True:
            try:
                self._sender.flush(1.0)
                return
            except TimeoutError as error:
                if self._stop.is_set():
                    raise GatewayStopped from error

    def _failed(self, error: Exception) -> float:
        self._memory.forget()
        if self._stop.is_set():
            return 0.0
        self.counts.failures += 1
        self.counts.add("turns", "failed")
        after = error.after if isinstance(error, SourceUnreachable) else 0.0
        wait = max(after + pause(self.counts.failures, FIRST_WAIT, LONGEST_WAIT), min(self.job.every, 10.0))
        fields = {"gateway": self.job.name, "error": str(error) or type(error).__name__, "again_in": f"{wait:.0f} s"}
        if isinstance(error, FormChanged):
            self.counts.add("form_changes")
            log.error("a source changed its form", **fields)
        elif isinstance(error, SourceUnreachable | BrokerRefused):
            log.warning("a source could not be read", **fields)
        else:
            log.error("a gateway failed", **fields, exc_info=True)
        return wait


class Gateways:
    """
    Gateways that run while the `with` block does.

    Raises ValueError for a name that is none, `ingest.gateways.memory.Taken` where another process runs one of them.
    """

    def __init__(self, plan: Plan) -> None:
        self._stop = threading.Event()
        self.runners: list[Runner] = []
        try:
            for job in jobs(plan.sources):
                self.runners.append(Runner(job, plan, self._stop))
        except BaseException:
            self.stop()
            raise

    @property
    def counts(self) -> list[Counts]:
        """What every job did."""
        return [runner.counts for runner in self.runners]

    def start(self) -> None:
        """Begin to poll."""
        for runner in self.runners:
            runner.start()

    def once(self) -> list[str]:
        """Do one turn of each, one after the other; name the jobs whose turn failed."""
        for runner in self.runners:
            runner.turn()
        return [runner.job.name for runner in self.runners if runner.counts.failures]

    def stop(self, seconds: float = _END_WITHIN) -> None:
        """End: what the broker has not confirmed is not noted as published."""
        self._stop.set()
        for runner in self.runners:
            runner.join(seconds / len(self.runners))

    def __enter__(self) -> "Gateways":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
