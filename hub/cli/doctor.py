"""
`doctor`: versions, edition, connections, lags, the accounting identity, and what a broker may lose.

The command ends with 1 when one of the findings is bad.
"""

import json
import re
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit
from urllib.request import urlopen
from zoneinfo import ZoneInfo

import pandas as pd
import typer

from aggregates.ask.areas import NO_AREAS
from aggregates.store.health import positions, state
from aggregates.store.migrate import edition
from aggregates.store.store import Store, StoreError
from hub.cli.common import NO, app, command, installed
from hub.cli.output import print_table
from hub.servers.datadir import RunningHub, find_hub
from hub.settings.layers import shown, sources_of
from hub.settings.settings import Settings
from ingest.mqtt.address import Address
from ingest.mqtt.client import refusal
from ingest.mqtt.slots import held_slots, lost_slots
from streams.alerts.calendar import BadCalendar, load_days

CALENDAR_ENDS = timedelta(days=30)  # a calendar is mentioned from so long before its end on
LOCAL = "%Y-%m-%d %H:%M %Z"
LAG = 600.0  # s that a closed hour may wait for the roll-up
LOG_LAG = timedelta(minutes=5)  # that a record may wait for a worker
_ANSWERS_WITHIN = 5.0  # s
NEITHER = "none named and no hub running"


class Finding(NamedTuple):
    """One line of the report; `good` None only informs."""

    what: str
    found: str
    good: bool | None = None


@command(app, "doctor", "broker", "database")
def doctor(settings: Settings) -> None:
    """Report what is wrong; exit 1 when something is."""
    running = find_hub(settings.data_dir)
    findings = list(examine(settings, running))
    marks = {True: "good", False: "BAD", None: ""}
    print_table(pd.DataFrame([(marks[f.good], f.what, f.found) for f in findings], columns=["", "what", "found"]))
    values, origins = shown(settings), sources_of(settings)
    for key, url in (("http_port", running.http), ("mqtt_port", running.broker)) if running and running.alive else ():
        values[key], origins[key] = str(urlsplit(url).port), "the running hub"
    rows = [(key, value, origins[key]) for key, value in values.items()]
    print_table(pd.DataFrame(rows, columns=["setting", "value", "from"]))
    if any(finding.good is False for finding in findings):
        raise typer.Exit(NO)


def examine(settings: Settings, running: RunningHub | None) -> Iterator[Finding]:
    """Check everything that can be reached from here; never raises for what it finds."""
    yield Finding("stadspuls", installed())
    yield Finding("data directory", str(settings.data_dir))
    yield from _hub(running) if running and running.alive else [Finding("hub", "not running here")]
    database = settings.database or (running.database if running else None)
    checks = {
        "calendar": _calendar(settings),
        "database": _database(database, ZoneInfo(settings.timezone)),
        "broker": _broker(settings, settings.broker or (running.broker if running else None)),
    }
    if settings.kafka:
        checks |= {
            "log": _log(settings, database),
            "collectors": _slots(settings.slots_dir or settings.data_dir / "slots"),
        }
    for what, findings in checks.items():
        try:
            yield from findings
        except (BadCalendar, StoreError) as error:
            yield Finding(what, str(error), False)


def _hub(running: RunningHub) -> Iterator[Finding]:
    """Ask a running hub what is wrong with it, and what it does not read."""
    metrics = ""
    try:
        with urlopen(f"{running.http}/healthz", timeout=_ANSWERS_WITHIN) as answer:
            trouble = json.load(answer).get("trouble", [])
        with urlopen(f"{running.http}/metrics", timeout=_ANSWERS_WITHIN) as answer:
            metrics = answer.read().decode()
    except (OSError, ValueError) as error:
        trouble = [f"does not answer: {error}"]
    yield Finding("hub", "; ".join([f"running, {running.http}", *trouble]), not trouble)
    for source, count in re.findall(r'^stadspuls_unread_total{source="(.*)"} ([1-9]\d*)', metrics, re.MULTILINE):
        yield Finding(f"unread of {source}", f"{count} numbers since the start, see `stadspuls formats try`")


def _calendar(settings: Settings) -> Iterator[Finding]:
    """Warn when the calendar soon ends: in school holidays that it lacks, traffic would seem unusual."""
    last = load_days(settings.timezone, settings.calendars, settings.country).school_until
    if last is not None and last < datetime.now(ZoneInfo(settings.timezone)).date() + CALENDAR_ENDS:
        where = "" if settings.calendars else ", in a copy of the shipped file that the setting calendars names"
        yield Finding("calendar", f"knows no school holidays after {last}: add those to come{where}")


def _database(conninfo: str | None, zone: ZoneInfo) -> Iterator[Finding]:
    if conninfo is None:
        yield Finding("database", NEITHER, False)
        return
    now = datetime.now(UTC)
    with closing(Store(conninfo, application="stadspuls doctor")) as store:
        with store.transaction() as tx:
            kind = edition(tx)
        found = state(store, now)
        extra = f", TimescaleDB {found.timescale_version}" if found.timescale_version else ""
        yield Finding("database", f"PostgreSQL {found.server_version}{extra}, edition {kind}", True)
        lag = found.oldest_mark or 0.0
        closed, proven = (at and f"{at.astimezone(zone):{LOCAL}}" for at in (found.closed_until, found.reconciled))
        yield Finding("roll-up", f"closed until {closed}, lag {lag:.0f} s", lag < LAG)
        yield Finding("proven", proven or "not yet, runs nightly")
        yield Finding("sensors", f"{found.sensors} with {found.series} series, {found.unplaced} without a place")
        yield Finding("frozen days", str(found.frozen_days))
        yield Finding("dead letters", str(found.dead_letters))
        yield from (Finding(*line) for line in store.rows("list_findings", now=now, since=None, no_areas=NO_AREAS))


def _broker(settings: Settings, url: str | None) -> Iterator[Finding]:
    if url is None:
        yield Finding("broker", NEITHER, False)
        return
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


def _log(settings: Settings, conninfo: str | None) -> Iterator[Finding]:
    """Report the log between collectors and workers: what waits on it, and whether the database knows this log."""
    from hub.run.kafka_log import log_state, topics
    from ingest.log.topics import NoAnswer

    with closing(Store(conninfo or "", application="stadspuls doctor")) as store:
        stored = positions(store)
    try:
        now = log_state(topics(settings), settings.kafka_group, stored, datetime.now(UTC) - LOG_LAG)
    except NoAnswer as error:
        yield Finding("log", f"Kafka at {settings.kafka}: {error}", False)
        return
    late = f", {now.late} of them for over {LOG_LAG.total_seconds() / 60:.0f} minutes" if now.late else ""
    text = f"Kafka at {settings.kafka}, {now.partitions} partitions, {now.waiting} records wait{late}"
    yield Finding("log", text, not now.late and (now.workers > 0 or not now.waiting))
    yield Finding("workers", str(now.workers) if now.workers else "none: what waits is not stored", now.workers > 0)
    for topic, partition in now.gone:
        found = "ends before what the database has of it: another Kafka, or one that lost its log"
        yield Finding(f"log {topic}/{partition}", found, False)


def _slots(directory: Path) -> Iterator[Finding]:
    """Report the collectors by their slots, where the directory of these is here."""
    if not directory.is_dir():
        yield Finding("collectors", f"not seen from here, their slots are not in {directory}")
    elif lost := lost_slots(directory):
        text = f"{len(held_slots(directory))}; one is gone and its queue is not: stadspuls collect --drain {lost[0]}"
        yield Finding("collectors", text, False)
    else:
        running = len(held_slots(directory))
        yield Finding("collectors", f"{running}, no slot lost", running > 0)
