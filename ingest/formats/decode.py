"""
From messages to a batch: the source by the topic, the payload format by the source, every failure to the dead letters.

Payload formats (`ingest.formats`, `ingest.formats.mapping_schema`) register here; the collector and `stadspuls
publish` call `decode`.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ingest.vocabulary.batch import Batch, DeadLetter, Table, coded, columns, joined, numbers, refused
from ingest.vocabulary.quantities import QUANTITIES
from ingest.vocabulary.readings import BadPayload, Identity, Message, Reading, SensorFact, Unreadable, microseconds
from ingest.vocabulary.sources import OWN, SOURCES, is_news, source_of_sensor, source_of_topic
from ingest.vocabulary.values import status_of, version_of

Found = tuple[Message, Any]  # where it was found: a Reading, Table, SensorFact, Identity or DeadLetter
Item = Reading | Table | SensorFact | Identity | Unreadable
PayloadFormat = Callable[[Message], Iterator[Item]]

FUTURE = timedelta(minutes=10)
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
LONGEST_PERIOD = 400 * 86_400
LONGEST_TEXT = 500
_FACTS = {"lon": (-180.0, 180.0), "lat": (-90.0, 90.0), "lanes": (1, 100), "interval": (0.001, 1e8)}

FORMATS: dict[str, PayloadFormat] = {}  # every payload format by its source; each puts itself here


def decode(messages: Sequence[Message], earliest: datetime = EARLIEST) -> Batch:
    """
    Decode messages into one batch.

    Never raises for what a message holds: an undecodable message, and each reading that cannot be true (a stamp before
    `earliest` or more than `FUTURE` after receipt, an unknown quantity, a number that is not finite), is a dead letter.
    """
    found: defaultdict[type, list[Found]] = defaultdict(list)
    for message in messages:
        if is_news(message.topic):  # the subscription to all sources brings the hub's own alerts along
            continue
        try:
            items = _read(message)
        except Exception as error:
            items = [_letter(message, error)]
        for item in items:
            found[type(item)].append((message, item))
    readings, rejects = _screen(_columns(found[Reading] + found[Table], found[DeadLetter]), earliest)
    letters, facts, identities = ([one for _, one in found[kind]] for kind in (DeadLetter, SensorFact, Identity))
    return Batch(readings, tuple(dict.fromkeys(facts)), (*letters, *rejects), tuple(identities))


def _read(message: Message) -> list[Any]:
    source = source_of_topic(message.topic)
    if source is None:
        topic = message.topic[:200]
        raise BadPayload(f"topic {topic!r} names no source that this hub knows, expected stadspuls/<source>/...")
    # A source without a format of its own (its gateway translates) sends the hub's.
    read = FORMATS.get(source) or FORMATS[OWN]
    overrides = _overrides(message.topic) if "?" in message.topic else {}
    found: list[Any] = []
    room = 64 * len(message.payload)  # for its unreadable parts, each with what is common to all
    for item in _stamped(read, message) if message.replayed else read(message):
        if isinstance(item, SensorFact | Identity) and (wrong := _objection(item)):  # it costs no reading
            found.append(_letter(message, BadPayload(wrong)))
        elif isinstance(item, Unreadable):
            found.append(_letter(message._replace(payload=item.payload), BadPayload(item.reason)))
            if (room := room - len(item.payload)) < 0:
                raise BadPayload(f"{item.reason}; and so many more parts that the message is kept whole")
        else:
            found.append(item._replace(**overrides) if overrides and isinstance(item, Reading | Table) else item)
    if not any(len(one.value) if isinstance(one, Table) else isinstance(one, Reading | SensorFact) for one in found):
        # Of a message of which nothing can be read the whole is kept, once.
        if letter := next((one for one in found if isinstance(one, DeadLetter)), None):
            raise BadPayload(letter.reason)
        if not message.replayed:
            raise BadPayload("no reading in the message, expected at least one")
    return found


def _stamped(read: PayloadFormat, message: Message) -> Iterator[Item]:
    """Leave out the readings without a stamp of their own, which move with the moment of receipt."""
    later = read(message._replace(received_at=message.received_at + timedelta(seconds=1)))
    known = {one for one in later if not isinstance(one, Table | Unreadable)}
    return (one for one in read(message) if isinstance(one, Table | Unreadable) or one in known)


def _objection(fact: SensorFact | Identity) -> str:
    """Say why the database can take no such fact or identity, "" where it can."""
    for text in (getattr(fact, name, None) for name in ("sensor_id", "name", "kind", "key")):
        if text is not None and (_bad_text(text) or (not text.isascii() and _clean(text) != text)):
            return f"sensor fact or identity {text[:50]!r} is longer than {LONGEST_TEXT} characters or not plain text"
    for name, (low, high) in _FACTS.items():
        number = getattr(fact, name, None)
        if number is not None and not low <= number <= high:
            return f"{name} {number} of sensor {fact.sensor_id!r}, expected {low} to {high}"
    return ""


def _clean(text: str) -> str:
    """Replace what a database's text cannot hold: NUL and lone surrogates."""
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def _overrides(topic: str) -> dict[str, Any]:
    """
    Read what a publisher gives for all readings of a message, behind the `?` of its topic.

    >>> _overrides("stadspuls/telraam/9000?status=validated")
    {'status': <Status.VALIDATED: 1>}
    """
    options = dict(parse_qsl(topic.partition("?")[2], keep_blank_values=True))
    if options.keys() - _OPTIONS.keys():
        raise BadPayload(f"topic has options {sorted(options)}, expected only status and version behind '?'")
    return {name: _OPTIONS[name](text) for name, text in options.items()}


_OPTIONS: Mapping[str, Callable[[str], int]] = {"status": status_of, "version": version_of}
_UNFIT = (TypeError, ValueError, OverflowError, pa.ArrowException)


def _columns(found: Sequence[Found], letters: list[Found]) -> pa.RecordBatch:
    """Make columns of readings and tables; those with something that no column takes become dead letters."""
    try:
        single = [one for one in found if isinstance(one[1], Reading)]
        tables = (one.filled(message.received_at) for message, one in found if isinstance(one, Table))
        return joined([columns([one for _, one in single], [message.received_at for message, _ in single]), *tables])
    except _UNFIT as error:
        if len(found) == 1:
            message, letter = found[0][0], _letter(found[0][0], error)
            if not any(one is message and kept.payload == letter.payload for one, kept in letters[-1:]):  # whole, once
                letters.append((message, letter))
            return joined([])
        half = len(found) // 2
        return joined([_columns(found[:half], letters), _columns(found[half:], letters)])


def _letter(message: Message, error: Exception) -> DeadLetter:
    reason = str(error) if isinstance(error, BadPayload) else f"{type(error).__name__}: {error}"
    source = source_of_topic(message.topic) or "unknown"
    return DeadLetter(source, _clean(message.topic), message.payload, _clean(reason[:1000]), message.received_at)


def _screen(readings: pa.RecordBatch, earliest: datetime) -> tuple[pa.RecordBatch, list[DeadLetter]]:
    """Part the readings that can be true from those that cannot."""
    reasons = np.full(readings.num_rows, "", dtype=object)
    for reason, wrong in _objections(readings, earliest):
        reasons[wrong & (reasons == "")] = reason
    is_bad = reasons != ""
    if not is_bad.any():
        return readings, []
    letters = map(refused, readings.filter(pa.array(is_bad)).to_pylist(), reasons[is_bad])
    return readings.filter(pa.array(~is_bad)), list(letters)


def _objections(rows: pa.RecordBatch, earliest: datetime) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    start, period = numbers(rows, "start"), numbers(rows, "period")
    late = numbers(rows, "received_at") + FUTURE // timedelta(microseconds=1)
    yield f"start before {earliest:%Y-%m-%d}, the earliest this hub takes", start < microseconds(earliest)
    yield f"start more than {FUTURE.seconds // 60} minutes after receipt", start > late
    version = numbers(rows, "version")
    wrong = (version < 0) | (version > late)
    yield f"version is not a stamp from 1970 to {FUTURE.seconds // 60} minutes after receipt", wrong
    yield "quantity not in the registry", ~coded(rows, "quantity").each(QUANTITIES.__contains__, bool)
    sensor, channel = coded(rows, "sensor_id"), coded(rows, "channel")
    yield "sensor_id is not <source>/<id> of at most 500 characters without NUL", sensor.each(_bad_id, bool)
    yield "channel is longer than 500 characters or has a NUL", channel.each(_bad_text, bool)
    yield "count with a fraction, expected a whole number, or `fractions = true` of its source", _broken_counts(rows)
    yield f"period is not within 0 to {LONGEST_PERIOD} s", (period < 0) | (period > LONGEST_PERIOD)
    for name in ("value", "weight", "covers"):
        number = numbers(rows, name)
        given = rows[name].is_valid().to_numpy(zero_copy_only=False)
        yield f"{name} is not finite", given & ~np.isfinite(number)
        if name != "value":
            yield f"{name} is below 0", number < 0


def _broken_counts(rows: pa.RecordBatch) -> NDArray[np.bool_]:
    """Mark counts with a fraction, of sources that count in whole numbers; rounding of a float is none."""
    sums = {name for name, quantity in QUANTITIES.items() if quantity.aggregation == "sum"}
    counts = coded(rows, "quantity").each(sums.__contains__, bool)
    corrected = {name for name, source in SOURCES.items() if source.fractions}
    counts &= coded(rows, "sensor_id").each(lambda name: source_of_sensor(name) not in corrected, bool)
    value = np.where(counts, numbers(rows, "value"), 0)
    with np.errstate(invalid="ignore"):
        broken: NDArray[np.bool_] = np.abs(value - np.rint(value)) > 1e-6 * np.maximum(1, np.abs(value))
    return broken


def _bad_text(text: str) -> bool:
    return len(text) > LONGEST_TEXT or "\x00" in text


def _bad_id(text: str) -> bool:
    return _bad_text(text) or not text.partition("/")[2]
