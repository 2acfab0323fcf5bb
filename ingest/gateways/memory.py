"""
What a gateway's job remembers over a restart: what was published, how far it got, and what the source's answers were.

One small JSON file for each job in the data directory, replaced as a whole. What a turn writes counts only when the
broker has its messages: `ingest.gateways.schedule` calls `keep`, or `keep_published` where the turn failed half-way.
"""

import fcntl
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import msgspec
import structlog

T = TypeVar("T")
D = TypeVar("D")

log = structlog.get_logger("ingest.gateways")


class Taken(Exception):  # noqa: N818 - named for what happened
    """Another process polls this source from the same data directory."""


class Kept(msgspec.Struct):
    """The file: marks by measurement with when they were last met (s since 1970), notes by name, validators by path."""

    published: dict[str, tuple[str, int]] = {}
    notes: dict[str, msgspec.Raw] = {}
    validators: dict[str, tuple[str, str]] = {}


def anything_published(directory: Path) -> bool:
    """Tell whether any job with its memory in this directory has ever published something."""
    return any(_read(path).published for path in directory.glob("*.json"))


class Memory:
    """One job's memory; raises Taken when another process has it open."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise Taken(f"{path.stem} is polled by another process with this data directory") from None
        self._kept = _read(path)
        self._fresh = Kept({}, {}, {})

    def close(self) -> None:
        """Let another process have it."""
        os.close(self._lock)

    @property
    def validators(self) -> Mapping[str, tuple[str, str]]:
        """ETag and Last-Modified of the answers of good turns, by path."""
        return self._kept.validators

    def validate(self, path: str, said: tuple[str, str]) -> None:
        """Note an answer's validators."""
        self._fresh.validators[path] = said

    def note(self, name: str, kind: type[T], default: D) -> T | D:
        """Give what was written under a name, or the default, also where the file has it in another form."""
        raw = self._fresh.notes.get(name) or self._kept.notes.get(name)
        try:
            return default if raw is None else msgspec.json.decode(raw, type=kind)
        except msgspec.DecodeError:
            return default

    def learn(self, name: str, value: object) -> None:
        """Write something that stays true whatever becomes of the turn."""
        self._kept.notes[name] = msgspec.Raw(msgspec.json.encode(value))

    def write(self, name: str, value: object) -> None:
        """Write something that counts when the turn ends well."""
        self._fresh.notes[name] = msgspec.Raw(msgspec.json.encode(value))

    def is_new(self, key: str, mark: str, now: int) -> bool:
        """Tell whether a measurement was not published yet, or with another mark: its value is another one now."""
        if key in self._fresh.published:
            return self._fresh.published[key][0] != mark
        known = self._kept.published.get(key)
        if known is None or known[0] != mark:
            return True
        self._kept.published[key] = (mark, now)
        return False

    def publish(self, marks: Mapping[str, str], now: int) -> None:
        """Note measurements that are on their way to the broker."""
        self._fresh.published |= {key: (mark, now) for key, mark in marks.items()}

    def keep(self, before: int) -> None:
        """Keep everything that the turn wrote; forget measurements that were last met before `before`."""
        self._kept.notes |= self._fresh.notes
        self._kept.validators |= self._fresh.validators
        self.keep_published(before)

    def keep_published(self, before: int) -> None:
        """Keep what is known to be published, and forget what else the turn wrote."""
        published = self._kept.published | self._fresh.published
        self._kept.published = {key: met for key, met in published.items() if met[1] >= before}
        self.forget()
        self.save()

    def forget(self) -> None:
        """Forget what the turn wrote."""
        self._fresh = Kept({}, {}, {})

    def save(self) -> None:
        """Write what is kept to the file."""
        part = self._path.with_suffix(".part")
        with part.open("wb") as file:
            file.write(msgspec.json.encode(self._kept))
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, self._path)


def _read(path: Path) -> Kept:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Kept)
    except FileNotFoundError:
        return Kept({}, {}, {})
    except msgspec.DecodeError as error:
        log.warning("a gateway's memory cannot be read, it begins anew", file=str(path), error=str(error))
        return Kept({}, {}, {})
