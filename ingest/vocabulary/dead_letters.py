"""
Dead letters: messages, and single readings, that could not be taken, with the reason.

`ingest.formats.decode` makes them of what it cannot read, `ingest.log.records` and `streams.commit.pipeline` of
readings that are refused later; `hub.cli.keep` lists and replays them.
"""

import hashlib
from collections.abc import Mapping
from datetime import datetime
from math import isfinite
from typing import Any

import msgspec
from msgspec.structs import force_setattr

from ingest.vocabulary.readings import Status
from ingest.vocabulary.sources import HUB, source_of_sensor

KEPT_BYTES = 1 << 20  # of a payload: what is longer is cut before it goes on the log


class DeadLetter(msgspec.Struct, frozen=True):
    """
    A message, or one reading as own JSON, that could not be taken, with the reason.

    `size` is that of the payload as it came, of which `KEPT_BYTES` are kept.
    """

    source: str
    topic: str
    payload: bytes
    reason: str
    received_at: datetime
    size: int = 0

    def __post_init__(self) -> None:
        """Cut the payload."""
        force_setattr(self, "size", self.size or len(self.payload))
        force_setattr(self, "payload", self.payload[:KEPT_BYTES])

    @property
    def key(self) -> bytes:
        """What makes two dead letters the same: source, topic, payload as far as it is kept, and reason."""
        parts = (self.source.encode(), self.topic.encode(), self.payload, self.reason.encode())
        return hashlib.sha256(b"".join(len(part).to_bytes(8, "big") + part for part in parts)).digest()


def refused(row: Mapping[str, Any], reason: str) -> DeadLetter:
    """Make a dead letter of one row of a batch that is refused after decoding."""
    source = source_of_sensor(row["sensor_id"])
    return DeadLetter(source, f"{HUB}refused", own_json(row), reason, row["received_at"])


def own_json(row: Mapping[str, Any]) -> bytes:
    """Write one row of a batch as the hub's own JSON, so that it can be published again; infinity is a word."""
    kept = {key: value for key, value in row.items() if key != "received_at" and (value is not None or key == "value")}
    kept |= {key: str(value) for key, value in kept.items() if isinstance(value, float) and not isfinite(value)}
    kept["status"] = Status(row["status"]).name.lower()
    return msgspec.json.encode(kept)
