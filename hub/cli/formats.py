"""
`formats`: a mapping file tried on a file, and a first draft of one; neither needs a hub.
"""

import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

import pandas as pd
import typer

from aggregates.ask.query import BadQuestion
from hub.cli.common import NO, command, end, group
from hub.cli.output import errors, print_table
from hub.cli.publish import recorded
from hub.settings.settings import Settings
from ingest.files.draft import draft
from ingest.formats.decode import FORMATS, decode
from ingest.formats.mapping_reader import MappedFormat
from ingest.formats.mapping_schema import load
from ingest.formats.parts import unread
from ingest.formats.registry import load_formats
from ingest.vocabulary.quantities import QUANTITIES
from ingest.vocabulary.readings import BadPayload, Flag, Message

formats_app = group("formats", "Mapping files: what a supplier's messages mean.")
Rows = list[dict[str, Any]]


@command(formats_app, "try")
def formats_try(
    settings: Settings, file: Path, /, mapping: Path | None = None, source: str = "", topic: str | None = None,
    form: Literal["table", "json"] = "table",
) -> None:  # fmt: skip
    """Show what a file gives: its readings, what is refused, and what no rule reads; exit 1 when nothing is read."""
    load_formats(() if mapping else settings.mappings)
    name = source or (mapping.stem if mapping else "")
    try:
        if mapping:
            spec = load(mapping, name)
            FORMATS[name] = MappedFormat(name, spec)
            for quantity in spec.unstated():
                print(f"{quantity}: no unit in the file, taken as {QUANTITIES[quantity].unit}", file=sys.stderr)
    except ValueError as error:
        raise BadQuestion(str(error)) from error
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
    _show(
        form, readings, refused, [{"what": what, "times": times, "why": why} for (what, why), times in ignored.items()]
    )


def _ignored(read: object, message: Message) -> Iterator[tuple[str, str]]:
    """Give what no rule reads of a message, by its pointer and why; elements of a list are `*`."""
    if not isinstance(read, MappedFormat):  # a format with code
        return
    try:
        for document in read.documents(message):
            for one in unread(read.source, read.spec, document, message):
                if one.path:  # else the whole message is among the refused
                    yield re.sub(r"/\d+(?=/|$)", "/*", one.path), one.reason
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
                print_table(pd.DataFrame(found[name]))
        typer.echo(", ".join(f"{count} {what}" for what, count in totals.items()))
    if totals["doubled"]:
        errors.print(
            "doubled: readings of one sensor, channel, quantity and time differ; a channel must tell them apart"
        )
    if not readings:
        end(NO, "nothing was read")


@command(formats_app, "draft")
def formats_draft(settings: Settings, file: Path, /, name: str | None = None) -> None:
    """Write a first mapping file for a JSON or CSV file: what names and values suggest, for you to check."""
    source = name or "".join(sign if sign.isalnum() else "_" for sign in file.name.partition(".")[0]).lower()
    try:
        typer.echo(draft(file, source, settings.timezone), nl=False)
    except BadPayload as error:
        raise BadQuestion(str(error)) from error
    errors.print(f"save this as {source}.toml, mend it, then: stadspuls formats try {file} --mapping {source}.toml")
