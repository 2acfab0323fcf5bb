"""`doctor`: versions, edition, connections, lags, the accounting identity, and what a broker may lose."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import typer

from aggregates.ask.dates import NO_AREAS
from aggregates.store.errors import StoreError
from aggregates.store.health import list_findings, positions
from aggregates.store.store import Store
from hub.cli.common import NO, command, health, installed
from hub.cli.output import print_table
from hub.run.parts import topics
from hub.servers.broker import BuiltInBroker
from hub.servers.process import RunningHub, find_hub
from hub.settings.layers import shown, sources_of
from hub.settings.settings import Settings
from ingest.mqtt.address import Address
from ingest.mqtt.client import refusal
from ingest.mqtt.slots import held_slots, lost_slots
from ingest.vocabulary.calendar import load_days
from ingest.vocabulary.values import BadFile

CALENDAR_ENDS = timedelta(days=30)  # a calendar is mentioned from so long before its end on
LOG_LAG = timedelta(minutes=5)  # that a record may wait for a worker
_ANSWERS_WITHIN = 5.0  # s


class Finding(NamedTuple):
    """One line of the report; `good` None only informs."""

    what: str
    found: str
    good: bool | None = None


@command("doctor", "broker", "database")
def doctor(settings: Settings) -> None:
    """Report what is wrong; exit 1 when something is."""
    running = find_hub(settings.data_dir)
    findings = list(examine(settings, running))
    marks = {True: "good", False: "BAD", None: ""}
    print_table(("", "what", "found"), [(marks[one.good], one.what, one.found) for one in findings])
    values, origins = shown(settings), sources_of(settings)
    for key, url in (("http_port", running.http), ("mqtt_port", running.broker)) if running and running.alive else ():
        values[key], origins[key] = str(urlsplit(url).port), "the running hub"
    print_table(("setting", "value", "from"), [(key, value, origins[key]) for key, value in values.items()])
    if any(finding.good is False for finding in findings):
        raise typer.Exit(NO)


def examine(settings: Settings, running: RunningHub | None) -> Iterator[Finding]:
    """Check everything that can be reached from here; never raises for what it finds."""
    yield Finding("stadspuls", installed())
    yield Finding("data directory", str(settings.data_dir))
    yield from _hub(running) if running and running.alive else [Finding("hub", "not running here")]
    database = settings.database or (running.database if running else None)
    broker = settings.broker or (running.broker if running else None)
    checks = {
        "calendar": _calendar(settings),
        "database": _database(database, settings.timezone) if database else _neither("database"),
        "broker": _broker(settings, broker) if broker else _neither("broker"),
        "broker holds": _held(BuiltInBroker(settings.data_dir), running),
    }
    if settings.kafka:
        checks |= {
            "log": _log(settings, database),
            "collectors": _slots(settings.slots_dir or settings.data_dir / "slots"),
        }
    for what, findings in checks.items():
        try:
            yield from findings
        except (BadFile, StoreError) as error:
            yield Finding(what, str(error), False)


def _hub(running: RunningHub) -> Iterator[Finding]:
    """Ask a running hub what is wrong with it, and what it does not read."""
    try:
        found = health(running.http)
    except (OSError, ValueError) as error:
        found = {"trouble": [f"does not answer: {error}"]}
    trouble = found.get("trouble", [])
    yield Finding("hub", "; ".join([f"running, {running.http}", *trouble]), not trouble)
    for source, count in found.get("unread", {}).items():
        yield Finding(f"unread of {source}", f"{count} numbers since the start, see `stadspuls formats try`")


def _calendar(settings: Settings) -> Iterator[Finding]:
    """Warn when the calendar soon ends: in school holidays that it lacks, traffic would seem unusual."""
    school = load_days(settings.timezone, settings.calendars, settings.country).school
    last = max((one.last for one in school), default=None)
    if last is not None and last < datetime.now(ZoneInfo(settings.timezone)).date() + CALENDAR_ENDS:
        where = "" if settings.calendars else ", in a copy of the shipped file that the setting calendars names"
        yield Finding("calendar", f"knows no school holidays after {last}: add those to come{where}")


def _neither(what: str) -> Iterator[Finding]:
    yield Finding(what, "none named and no hub running", False)


def _database(conninfo: str, zone: str) -> Iterator[Finding]:
    with closing(Store(conninfo, application="stadspuls doctor")) as store:
        yield from (Finding(*line) for line in list_findings(store, datetime.now(UTC), zone, NO_AREAS))


def _broker(settings: Settings, url: str) -> Iterator[Finding]:
    address = Address.parse(url).with_credentials(settings.credentials)
    whom = address.user or "anybody"
    why = refusal(address, _ANSWERS_WITHIN)
    yield Finding("broker", f"{address}, as {whom}: {why}" if why else f"{address} lets {whom} in", not why)
    text = f"its queue is in memory: all of it when killed, the oldest beyond {settings.broker_queue} messages"
    kept = "none but the hub's alerts: the built-in broker takes the flag off the others"
    if settings.broker:
        text = "what it is set to: Mosquitto drops beyond max_queued_messages, 1000 by default"
        kept = f"beyond {settings.retained_bytes} bytes deleted every minute"
    yield Finding("broker may lose", text)
    yield Finding("retained messages", kept)


def _held(broker: BuiltInBroker, running: RunningHub | None) -> Iterator[Finding]:
    """Report what the built-in broker holds in memory; bad while no hub takes it."""
    if broker.process() is None:
        text = f"it has ended: at most {broker.held} messages are lost"
        yield from [Finding("broker holds", text, False)] if broker.held else []
    elif running and running.alive:
        yield Finding("broker holds", f"at most {broker.held} messages that are not stored yet")
    else:
        text = f"it goes on without a hub, with at most {broker.held} messages for it: start it again"
        yield Finding("broker holds", text, False)


def _log(settings: Settings, conninfo: str | None) -> Iterator[Finding]:
    """Report the log between collectors and workers: what waits on it, and whether the database knows this log."""
    from ingest.log import topics as kafka

    with closing(Store(conninfo or "", application="stadspuls doctor")) as store:
        stored = positions(store)
    log = topics(settings)
    try:
        now, before = kafka.ends(log), kafka.ends(log, before=datetime.now(UTC) - LOG_LAG)
        workers = kafka.workers(log, settings.kafka_group)
    except kafka.NoAnswer as error:
        yield Finding("log", f"Kafka at {settings.kafka}: {error}", False)
        return
    waiting, late = (sum(max(0, end - stored.get(home, 0)) for home, end in ends.items()) for ends in (now, before))
    for_long = f", {late} of them for over {LOG_LAG.total_seconds() / 60:.0f} minutes" if late else ""
    text = f"Kafka at {settings.kafka}, {len(now)} partitions, {waiting} records wait{for_long}"
    yield Finding("log", text, not late and (workers > 0 or not waiting))
    yield Finding("workers", str(workers) if workers else "none: what waits is not stored", workers > 0)
    for home, position in sorted(stored.items()):
        if home[0] in log.names and position > now.get(home, 0):
            found = "ends before what the database has of it: another Kafka, or one that lost its log"
            yield Finding("log {}/{}".format(*home), found, False)


def _slots(directory: Path) -> Iterator[Finding]:
    """Report the collectors by their slots, where the directory of these is here."""
    if not directory.is_dir():
        yield Finding("collectors", f"not seen from here, their slots are not in {directory}")
        return
    held, lost = len(held_slots(directory)), lost_slots(directory)
    gone = f"; one is gone and its queue is not: stadspuls collect --drain {lost[0]}" if lost else ", no slot lost"
    yield Finding("collectors", f"{held}{gone}", held > 0 and not lost)
