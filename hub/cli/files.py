"""
Recorded files: `publish` sends them as MQTT messages, at once or at the speed they came; `formats` tries a mapping file
on one, and drafts one, without a hub.

`ingest.files.recordings` takes the files apart. Where a hub runs in the data directory, its backlog is kept below half
of the broker's queue.
"""

import json
import time
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import numpy as np
import typer

from aggregates.ask.dates import BadQuestion
from hub.cli.common import NO, broker_of, command, end, health, progress_bar, running_hub
from hub.cli.output import errors, print_table
from hub.servers.broker import MESSAGE
from hub.settings.settings import Settings
from ingest.files.discovery import discovered
from ingest.files.draft import draft
from ingest.files.recordings import messages
from ingest.formats import documents
from ingest.formats.decode import FORMATS, decode
from ingest.formats.mapping_reader import MappedFormat
from ingest.formats.mapping_schema import load
from ingest.formats.parts import unread
from ingest.formats.pointers import step
from ingest.formats.registry import load_formats
from ingest.mqtt.client import retained
from ingest.mqtt.sender import Sender
from ingest.vocabulary.batch import numbers
from ingest.vocabulary.quantities import QUANTITIES
from ingest.vocabulary.readings import BadPayload, Flag, Message
from ingest.vocabulary.sources import SOURCES
from ingest.vocabulary.values import raised_as, status_of, version_of

_LOOK_EVERY = 1_000  # messages between two checks of the hub's backlog
Recorded = tuple[str, bytes, datetime | None]
Rows = list[dict[str, Any]]


@command("publish", "broker")
def publish_files(
    settings: Settings, files: list[Path], /, source: str, speed: float | None = None, status: str | None = None,
    version: str | None = None,
) -> None:  # fmt: skip
    """Send recorded files as MQTT messages, and say what is in them; exit 1 when all of it was refused."""
    load_formats(settings.mappings)
    found = recorded(files, source, status, version, in_time=speed is not None)
    if speed is not None:
        found = at_speed(found, speed)
    running = running_hub(settings)
    if running and not settings.broker:
        if source in SOURCES and source not in running.sources:
            end(NO, f"the running hub does not know source {source!r}: start it again with the setting `mappings`")
        found = kept_back(found, running.http)
    messages, given, failed, reasons = _sent(settings, found)
    taken, refused = given - failed, reasons.total()
    errors.print(f"{messages} messages published: {taken} values taken, {failed} failed, {refused} refused")
    for reason, times in reasons.most_common(5):
        errors.print(f"refused {times} times: {reason}")
    if reasons and not given:
        end(NO, "all of it was refused: see `stadspuls formats try`")


def _sent(settings: Settings, found: Iterable[Recorded]) -> tuple[int, int, int, Counter[str]]:
    """
    Send messages; count them, their values, those that failed, and by its reason what a hub will refuse of them.

    They are decoded as a hub does it, which also refuses what it knows better.
    """
    sent = given = failed = 0
    reasons: Counter[str] = Counter()
    with Sender(broker_of(settings)) as sender, progress_bar() as progress:
        for topic, payload, _ in progress.track(found, description="messages"):
            sender.publish(topic, payload)
            batch = decode([Message(topic, payload, datetime.now(UTC))], settings.earliest)
            sent, given = sent + 1, given + batch.readings.num_rows
            failed += int(np.count_nonzero(numbers(batch.readings, "flags") & Flag.SOURCE_ERROR))
            reasons.update(letter.reason for letter in batch.dead_letters)
        sender.flush()
    return sent, given, failed, reasons


def recorded(
    files: Sequence[Path], source: str, status: str | None, version: str | None, *, in_time: bool = False
) -> Iterator[Recorded]:
    """
    Take files apart into messages; status and version of all readings are appended to the topics.

    `in_time` gives the messages of each file in the order of their stamps. Raises BadQuestion for a source or a
    file that cannot be, BadPayload for a status or a version.
    """
    if source not in SOURCES:
        raise BadQuestion(f"source {source!r}, expected one of {', '.join(SOURCES)}, or of the setting `mappings`")
    for check, text in ((status_of, status), (version_of, version)):
        if text is not None:
            check(text)
    asked = urlencode({key: text for key, text in (("status", status), ("version", version)) if text is not None})
    for path in files:
        with raised_as(BadQuestion, OSError, ValueError, EOFError, zlib.error, at=path):  # EOFError: a cut .gz
            for topic, payload, when in messages(path, source, in_time=in_time):
                yield f"{topic}?{asked}" if asked else topic, payload, when


def at_speed(found: Iterable[Recorded], speed: float) -> Iterator[Recorded]:
    """Give messages as far apart as their stamps are, at so many times real time."""
    began, first = time.monotonic(), None
    for topic, payload, when in found:
        if when is not None:
            first = first or when
            time.sleep(max(0.0, began + (when - first).total_seconds() / speed - time.monotonic()))
        yield topic, payload, when


def kept_back(found: Iterable[Recorded], http: str) -> Iterator[Recorded]:
    """Give messages while the hub has taken all but half its broker's queue; one that stopped is not waited for."""
    before, sent = _health(http), 0.0  # in messages of the size that the queue is made for
    for count, one in enumerate(found, 1):
        yield one
        looks, sent = sent // _LOOK_EVERY, sent + max(1.0, len(one[1]) / MESSAGE)
        while sent // _LOOK_EVERY > looks and before and (now := _health(http)):
            taken = now["messages_received"] - before["messages_received"]
            if taken < 0 or sent * (count - taken) / count <= now["broker_queue"] // 2:
                break
            time.sleep(0.1)


def _health(http: str) -> dict[str, int]:
    try:
        return health(http)
    except OSError:
        return {}


@command("formats try")
def formats_try(
    settings: Settings, file: Path, /, mapping: Path | None = None, source: str = "", topic: str | None = None,
    form: Literal["table", "json"] = "table",
) -> None:  # fmt: skip
    """Show what a file gives: its readings, what is refused, and what no rule reads; exit 1 when nothing is read."""
    load_formats(() if mapping else settings.mappings)
    name = source or (mapping.stem if mapping else "")
    if mapping:
        spec = load(mapping, name)
        FORMATS[name] = MappedFormat(name, spec)
        for quantity in spec.unstated():
            errors.print(f"{quantity}: no unit in the file, taken as {QUANTITIES[quantity].unit}")
    readings: Rows = []
    refused: Rows = []
    ignored: Counter[tuple[str, str]] = Counter()
    for count, (own, payload, _) in enumerate(recorded([file], name, None, None), 1):
        message = Message(topic or own, payload, datetime.now(UTC))
        batch = decode([message], settings.earliest)
        readings += _readings(count, batch.readings.to_pylist(), ZoneInfo(settings.timezone))
        refused += [
            {"message": count, "why": one.reason, "what": str(one.payload[:80])[2:-1]} for one in batch.dead_letters
        ]
        ignored.update(_ignored(FORMATS.get(name), message))
    left = [{"what": what, "times": times, "why": why} for (what, why), times in ignored.items()]
    _show(form, readings, refused, left)


def _ignored(read: object, message: Message) -> Iterator[tuple[str, str]]:
    """Give what no rule reads of a message, by its pointer and why; elements of a list are `*`."""
    if not isinstance(read, MappedFormat):  # a format with code
        return
    try:
        for document in documents.read(message, read.spec, read.columns):
            for one in unread(read.source, read.spec, document, message):
                if one.path:  # else the whole message is among the refused
                    yield "".join("/*" if name.isdecimal() else step(name) for name in one.path), one.reason
    except BadPayload:  # is among the refused
        return


def _readings(count: int, rows: Rows, zone: ZoneInfo) -> Iterator[dict[str, Any]]:
    for row in rows:
        start = row["start"].astimezone(zone).isoformat()
        flags = " ".join(flag.name.lower() for flag in Flag if flag & row["flags"] and flag.name)
        kept = {name: row[name] for name in ("sensor_id", "channel", "quantity")}
        unit = QUANTITIES[row["quantity"]].unit
        yield {"message": count, **kept, "start": start, "period": row["period"], "value": row["value"], "unit": unit,
               "flags": flags}  # fmt: skip


def _show(form: str, readings: Rows, refused: Rows, ignored: Rows) -> None:
    """Print what was found, and the totals; two readings of one key with two values count as doubled."""
    distinct = {tuple(value for name, value in one.items() if name not in ("message", "flags")) for one in readings}
    keys = {one[:5] for one in distinct}
    totals = {
        "readings": len(readings), "failed": sum("source_error" in one["flags"] for one in readings),
        "doubled": len(distinct) - len(keys), "refused": len(refused), "ignored": sum(one["times"] for one in ignored),
    }  # fmt: skip
    found: dict[str, Any] = {"readings": readings, "refused": refused, "ignored": ignored, "totals": totals}
    if form == "json":
        typer.echo(json.dumps(found, indent=1, ensure_ascii=False))
    else:
        for name in ("readings", "refused", "ignored"):
            if found[name]:
                typer.echo(f"{name}:")
                print_table(tuple(found[name][0]), [tuple(one.values()) for one in found[name]])
        typer.echo(", ".join(f"{count} {what}" for what, count in totals.items()))
    if totals["doubled"]:
        errors.print("doubled: readings of one sensor, channel, quantity and time differ, a channel tells them apart")
    if not readings:
        end(NO, "nothing was read")


@command("formats draft")
def formats_draft(settings: Settings, file: Path, /, name: str | None = None) -> None:
    """Write a first mapping file for a JSON or CSV file: what names and values suggest, for you to check."""
    source = name or "".join(sign if sign.isalnum() else "_" for sign in file.name.partition(".")[0]).lower()
    typer.echo(draft(file, source, settings.timezone), nl=False)
    errors.print(f"save this as {source}.toml, mend it, then: stadspuls formats try {file} --mapping {source}.toml")


@command("formats discover", "broker")
def formats_discover(
    settings: Settings, file: Path | None = None, /, name: str = "discovered", prefix: str = "homeassistant"
) -> None:
    """Write a mapping file for the devices that announced themselves as Home Assistant's discovery has it."""
    found = dict(one[:2] for one in messages(file, "homeassistant")) if file else {}
    typer.echo(discovered(found or retained(broker_of(settings), f"{prefix}/#"), name), nl=False)
