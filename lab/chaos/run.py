"""
The chaos run: a distributed hub with relays in its network, a publisher before it, and everything killed in turn.

    publisher ──▶ Mosquitto ──relay──▶ collect ──relay──▶ Kafka ──relay──▶ work ──relay──▶ database

`lab.chaos.plan` plans what happens, `lab.chaos.disturbances` does it, `lab.chaos.checks` compares; `stadspuls chaos`
prints the report.
"""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from aggregates.store.errors import StoreError
from aggregates.store.store import Store
from hub.servers.process import CannotStart
from hub.settings.settings import Settings
from ingest.mqtt.slots import lost_slots
from lab.chaos.checks import SOURCE, Check, check_promises, counted
from lab.chaos.disturbances import Disturbances, Outcome, unjudged
from lab.chaos.plan import USUAL, Action, Part, plan
from lab.chaos.publisher import Publisher
from lab.chaos.readings import NumberedReadings
from lab.chaos.stage import Scale, disturbable, empty_database
from lab.load.balances import balances
from lab.rig.chain import Chain, missing, supervised

_CONFIRMED_WITHIN = 180.0  # s
_PROGRESS_WITHIN = 90.0  # s without a reading stored, after which no more are expected
_SETTLED_WITHIN = 300.0
_JUDGED_WITHIN = 240.0  # s in which what could not be judged is

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Report:
    """What happened and what was found."""

    seed: int
    database: str
    published: int = 0
    bad: int = 0
    seconds: float = 0.0
    caught_up: float = 0.0
    restarts: int = 0
    events: list[Outcome] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Tell whether every promise held."""
        return bool(self.checks) and all(check.good for check in self.checks)


def chaos(
    settings: Settings, scale: Scale, seed: int, disturbances: tuple[tuple[Action, Part], ...] = USUAL,
    show: Callable[[str], None] = log.info,
) -> Report:  # fmt: skip
    """
    Run it and give the report; the database is that of the settings where one is named and empty, else a new one.

    Raises CannotStart, saying which program is missing or what did not start.
    """
    if lacking := missing():
        raise CannotStart(
            f"the chaos run needs {', '.join(lacking)}, not found here: install it, or run `make chaos` as root"
        )
    with ExitStack() as stack:
        workplace = tempfile.TemporaryDirectory(prefix="stadspuls-chaos-", ignore_cleanup_errors=True)
        directory = Path(stack.enter_context(workplace))
        name, url, place, server = stack.enter_context(empty_database(settings, directory))
        show(f"database {name}, seed {seed}; logs in {directory}")
        chain, relays = disturbable(directory, url, place, scale, stack)
        chain.start()
        report = Report(seed, name)
        run = _Run(chain, NumberedReadings(scale.sensors, settings.timezone), scale, report, show)
        run.disturb(Disturbances(chain, server, relays, seed, run.waiting), disturbances)
        run.compare()
        if not report.good:
            stack.enter_context(_kept(directory, show))
    return report


class _Run:
    """One run, from the first message to the checks."""

    def __init__(
        self, chain: Chain, numbered: NumberedReadings, scale: Scale, report: Report, show: Callable[[str], None]
    ) -> None:
        self._chain, self._numbered, self._scale, self._report, self._show = chain, numbered, scale, report, show
        self._publisher = Publisher(chain.broker.address(), numbered, scale.rate)

    def waiting(self) -> int:
        """How many readings are published and not stored; -1 while the database is away."""
        with closing(Store(self._chain.database, application="stadspuls chaos")) as store:
            try:
                stored = sum(balance.stored for balance in balances(store) if balance.source == SOURCE)
                return self._publisher.published - stored
            except StoreError:
                return -1

    def disturb(self, disturbances: Disturbances, wanted: tuple[tuple[Action, Part], ...]) -> None:
        """Publish, do everything that is planned, and wait until all has arrived."""
        scale, report = self._scale, self._report
        with supervised(self._chain) as restarted:
            began = time.monotonic()
            self._publisher.start()
            for event in plan(scale.seconds, report.seed, tuple(pair for pair in wanted if disturbances.can(*pair))):
                time.sleep(max(0.0, began + event.at - time.monotonic()))
                outcome = disturbances.begin(event, time.monotonic() - began)
                self._show(f"{outcome.at:5.0f} s  {event}, {outcome.waiting:,} readings on their way")
            time.sleep(max(0.0, began + scale.seconds - time.monotonic()))
            self._publisher.stop(_CONFIRMED_WITHIN)
            report.published, report.bad = self._publisher.published, self._publisher.bad
            report.seconds, report.events = self._publisher.seconds, disturbances.outcomes
            ended = time.monotonic()
            disturbances.finish()
            report.checks.append(came_back(disturbances.outcomes))
            self._arrive()
            report.caught_up, report.restarts = time.monotonic() - ended, len(restarted)

    def _arrive(self) -> None:
        """Empty what collectors left at the broker, as an operator would, and wait until nothing moves any more."""
        for slot in lost_slots(self._chain.directory / "slots"):
            self._show(f"slot {slot} was lost, it is drained")
            self._chain.command("collect", f"--drain={slot}")
        self._show(f"{self._report.published:,} readings published, {self.waiting():,} on their way")
        least, since = self.waiting(), time.monotonic()
        while (now := self.waiting()) and time.monotonic() - since < _PROGRESS_WITHIN:
            if now < least:
                least, since = now, time.monotonic()
            time.sleep(0.5)
        self._report.checks.append(counted("rules whose windows were not judged again", 0, self._unjudged()))
        try:
            self._chain.settle(_SETTLED_WITHIN)
        except TimeoutError as error:
            self._report.checks.append(Check("everything settles", f"{_SETTLED_WITHIN:.0f} s", str(error), False))

    def _unjudged(self) -> int:
        """How many rules have windows that are still to be judged, once the roll-up has had its time for it."""
        until = time.monotonic() + _JUDGED_WITHIN
        while (left := unjudged(self._chain.database)) and time.monotonic() < until:
            time.sleep(1)
        return left

    def compare(self) -> None:
        """Compare what was published with what is stored."""
        self._show("comparing")
        chain, report = self._chain, self._report
        report.checks += check_promises(chain.database, chain.command, self._numbered, report.published, report.bad)


def came_back(disturbances: Sequence[Outcome]) -> Check:
    """Check that every part was back after its disturbance; name those that were not, and why."""
    gone = [f"{one.event}: {one.note}" for one in disturbances if one.back is None]
    found = f"{len(disturbances) - len(gone)}"
    return Check("parts back after what was done", f"{len(disturbances)}", "; ".join([found, *gone]), not gone)


@contextmanager
def _kept(directory: Path, show: Callable[[str], None]) -> Iterator[None]:
    """Keep the logs of a run that went wrong."""
    kept = Path(tempfile.mkdtemp(prefix="stadspuls-chaos-logs-"))
    for path in directory.glob("**/*.log"):
        shutil.copy2(path, kept)
    show(f"logs are kept in {kept}")
    yield
