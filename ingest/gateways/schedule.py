"""
Which gateways there are, and running them: every job in a thread of its own, again and again, through every failure.

A gateway is a definition in `sources`, or the user's own file; NDW needs code. A turn asks the source, publishes what
is new, waits until the broker has it, and only then keeps what it learnt. So a measurement is published once, also over
a restart; after a kill -9 between the broker's answer and the file at most the last turn's messages come again, and the
fence counts them as duplicates.
"""

import threading
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from zlib import crc32

import structlog

from ingest.gateways import ndw
from ingest.gateways.definition import SHIPPED, load
from ingest.gateways.poll import poll
from ingest.gateways.turn import Counts, Job, Plan, Turn
from ingest.gateways.web import FIRST_WAIT, LONGEST_WAIT, FormChanged, GatewayStopped, SourceUnreachable
from ingest.mqtt.sender import BrokerRefused
from ingest.vocabulary.backoff import pause

GATEWAYS = sorted([ndw.SOURCE, *(path.stem for path in SHIPPED.glob("*.toml"))])

log = structlog.get_logger("ingest.gateways")

_END_WITHIN = 5.0  # s for all threads together


def jobs(names: Sequence[str], hosts: Mapping[str, str], condition: str = "") -> list[Job]:
    """
    Give the jobs of these gateways, each the name of a shipped one or a file of one's own.

    `hosts` are addresses in place of their own, `condition` is one that records must meet at the source. Raises
    ValueError for what cannot work.
    """
    return [job for name in dict.fromkeys(names) for job in _jobs(name, hosts.get(name, ""), condition)]


def _jobs(name: str, host: str, condition: str) -> list[Job]:
    if name not in GATEWAYS and not name.endswith(".toml"):
        raise ValueError(f"gateway {name!r}, expected one of {', '.join(GATEWAYS)}, or a file .toml")
    path = Path(name) if name.endswith(".toml") else SHIPPED / f"{name}.toml"
    spec = None if name == ndw.SOURCE else load(path)
    if condition and not (spec and "{filter}" in str(spec.ask.params)):
        raise ValueError(f"gateway {name!r} takes no --filter")
    if spec is None:
        return ndw.jobs(host)
    if not (host := host or spec.host):
        raise ValueError(f"gateway {name!r} without an address, expected --url")
    spec.filter = condition or spec.filter
    # Another service or another condition has a memory of its own: nothing was asked of it yet.
    own = "" if spec.host and not condition else f"-{crc32(f'{host} {condition}'.encode()):x}"
    return [Job(path.stem + own, partial(poll, spec), host, spec.every, spec.pace, spec.keep)]


class Runner(Turn):
    """One job that is done again and again, in a thread."""

    def __init__(self, job: Job, plan: Plan, stop: threading.Event) -> None:
        super().__init__(job, plan, stop)
        self._thread = threading.Thread(target=self._run, name=f"gateway-{job.name}", daemon=True)
        self.start = self._thread.start

    def join(self, seconds: float) -> None:
        """Wait for the end of the turn that runs, then close what it used."""
        if self._thread.is_alive():
            self._thread.join(seconds / 2)
        self.sender.close()  # who waits for the broker waits no longer
        if self._thread.is_alive():
            self._thread.join(seconds / 2)
        self.web.close()
        if not self._thread.is_alive():  # else the end of the process closes it
            self.memory.close()

    def _run(self) -> None:
        while not self.stop.is_set():
            try:
                wait = self.turn()
            except Exception:  # its memory could not be put right: a full disk, a damaged file
                log.exception("a gateway failed, it is tried again", gateway=self.job.name)
                wait = LONGEST_WAIT
            self.stop.wait(wait)

    def turn(self) -> float:
        """Do one turn, whatever comes of it; give the seconds until the next."""
        now = self.now = self.plan.clock()
        is_whole = False
        try:
            try:
                self.job.poll(self)
                is_whole = True
            finally:  # what was published before a failure counts, too
                self._flush()
                self.memory.keep(int((now - self.job.keep).timestamp()), is_whole=is_whole)
        except GatewayStopped:
            return 0.0
        except Exception as error:
            return self._failed(error)
        if self.counts.failures:
            log.info("a source is back", gateway=self.job.name, after_failures=self.counts.failures)
        self.counts.failures, self.counts.succeeded = 0, now.timestamp()
        self.counts.add("turns", "good")
        return max(1.0, (self.job.every - (self.plan.clock() - now)).total_seconds())

    def _flush(self) -> None:
        """Wait until the broker has everything; raises GatewayStopped when stopped before."""
        while True:
            try:
                self.sender.flush(1.0)
                return
            except TimeoutError as error:
                if self.stop.is_set():
                    raise GatewayStopped from error

    def _failed(self, error: Exception) -> float:
        self.memory.forget()
        if self.stop.is_set():
            return 0.0
        self.counts.failures += 1
        self.counts.add("turns", "failed")
        after = error.after if isinstance(error, SourceUnreachable) else 0.0
        again = after + pause(self.counts.failures, FIRST_WAIT, LONGEST_WAIT)
        wait = max(again, min(self.job.every.total_seconds(), 10.0))
        fields = {"gateway": self.job.name, "error": str(error) or type(error).__name__, "again_in": f"{wait:.0f} s"}
        if isinstance(error, FormChanged):
            self.counts.add("form_changes")
            log.error("a source changed its form", **fields)
        elif isinstance(error, SourceUnreachable | BrokerRefused):
            log.warning("a source could not be read", **fields)
        else:
            log.error("a gateway failed", **fields, exc_info=True)
        return wait


class Gateways(AbstractContextManager["Gateways"]):
    """Gateways that run while the `with` block does; raises `memory.Taken` where another process runs one of them."""

    def __init__(self, plan: Plan) -> None:
        self._stop = threading.Event()
        self.runners: list[Runner] = []
        try:
            for job in plan.jobs:
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

    def stop(self) -> None:
        """End: what the broker has not confirmed is not noted as published."""
        self._stop.set()
        for runner in self.runners:
            runner.join(_END_WITHIN / len(self.runners))

    def __exit__(self, *_: object) -> None:
        self.stop()
