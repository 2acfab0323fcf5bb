"""
`publish`: recorded files as MQTT messages, at once or at the speed they came, and how many values are in them.

`ingest.files.recordings` takes the files apart. Where a hub runs in the data directory, its backlog is kept below half
of the broker's queue.
"""

import json
import time
import urllib.request
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlencode

import numpy as np

from aggregates.ask.query import BadQuestion
from hub.cli.common import NO, app, broker_of, command, end, progress_bar, running_hub
from hub.cli.output import errors
from hub.settings.settings import Settings
from ingest.files.recordings import messages
from ingest.formats.decode import decode, status_of, version_of
from ingest.formats.registry import load_formats
from ingest.mqtt.sender import Sender
from ingest.vocabulary.batch import numbers
from ingest.vocabulary.readings import Flag, Message
from ingest.vocabulary.sources import SOURCES

_LOOK_EVERY = 1_000  # messages between two checks of the hub's backlog
Recorded = tuple[str, bytes, datetime | None]


@command(app, "publish", "broker")
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
    counted = Counted(settings.earliest)
    with Sender(broker_of(settings)) as sender, progress_bar() as progress:
        count = publish(sender, progress.track(counted.each(found), description="messages"))
    errors.print(f"{count} messages published: {counted}")
    for reason, times in counted.reasons.most_common(5):
        errors.print(f"refused {times} times: {reason}")
    if counted.reasons and not counted.taken:
        end(NO, "all of it was refused: see `stadspuls formats try`")


def recorded(
    files: Sequence[Path], source: str, status: str | None, version: str | None, *, in_time: bool = False
) -> Iterator[Recorded]:
    """
    Take files apart into messages; status and version of all readings are appended to the topics.

    `in_time` gives the messages of each file in the order of their stamps. Raises BadQuestion for a source or a
    file that cannot be, BadPayload for a status or a version.
    """
    if source not in SOURCES:
        raise BadQuestion(f"source {source!r}, expected one of {', '.join(SOURCES)}")
    for check, text in ((status_of, status), (version_of, version)):
        if text is not None:
            check(text)
    asked = urlencode({key: text for key, text in (("status", status), ("version", version)) if text is not None})
    for path in files:
        try:
            for topic, payload, when in messages(path, source, in_time=in_time):
                yield f"{topic}?{asked}" if asked else topic, payload, when
        except (OSError, ValueError, EOFError, zlib.error) as error:  # EOFError: a .gz that was cut off
            raise BadQuestion(f"{path}: {error}") from error


class Counted:
    """Decodes messages as a hub will, to say what becomes of them; a hub also refuses what it knows better."""

    def __init__(self, earliest: datetime) -> None:
        self._earliest = earliest
        self.taken = self.failed = 0
        self.reasons: Counter[str] = Counter()

    def each(self, found: Iterable[Recorded]) -> Iterator[Recorded]:
        """Give the messages on, counted."""
        for one in found:
            yield one
            batch = decode([Message(one[0], one[1], datetime.now(UTC))], self._earliest)
            self.taken += batch.readings.num_rows
            self.failed += int(np.count_nonzero(numbers(batch.readings, "flags") & Flag.SOURCE_ERROR))
            self.reasons.update(letter.reason for letter in batch.dead_letters)

    def __str__(self) -> str:
        return f"{self.taken - self.failed} values taken, {self.failed} failed, {self.reasons.total()} refused"


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
    before = _health(http)
    for count, one in enumerate(found, 1):
        yield one
        while count % _LOOK_EVERY == 0 and before and (now := _health(http)):
            taken = now["messages_received"] - before["messages_received"]
            if taken < 0 or count - taken <= now["broker_queue"] // 2:
                break
            time.sleep(0.1)


def _health(http: str) -> dict[str, int]:
    try:
        with urllib.request.urlopen(f"{http}/healthz", timeout=5) as answer:
            found: dict[str, int] = json.load(answer)
            return found
    except OSError:
        return {}


def publish(sender: Sender, found: Iterable[Recorded]) -> int:
    """Publish messages and return how many, when the broker has all; raises BadQuestion for one that none takes."""
    count = 0
    for topic, payload, _ in found:
        try:
            sender.publish(topic, payload)
        except ValueError as error:
            raise BadQuestion(str(error)) from error
        count += 1
    sender.flush()
    return count
