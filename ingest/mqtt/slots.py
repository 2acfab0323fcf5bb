"""
Slots: which persistent session at the broker is whose; lock files in a directory that all collectors share.

When a member of a shared subscription goes for good, the broker keeps its part of the stream for it. So a session does
not belong to a process or a host but to a slot: who starts takes a free slot, first one whose session a killed
collector left, and with it what the broker kept. `Receiver.leave` empties a session that is given up.

A slot's file is locked while a collector has it, and holds the state of its session: `joining` until the subscription
is granted, `session` then, `leaving` while it is emptied, nothing when it is gone.
"""

import fcntl
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from itertools import chain, count
from pathlib import Path

import structlog

_JOINING, _SESSION, _LEAVING = b"joining\n", b"session\n", b"leaving\n"

log = structlog.get_logger("ingest.mqtt.slots")


class Slot(AbstractContextManager["Slot"]):
    """A slot that is ours until the `with` block ends, or until this process dies."""

    def __init__(self, directory: Path, number: int, lock: int) -> None:
        self.number = number
        self._directory, self._lock = directory, lock
        state = os.pread(lock, 20, 0)
        # A session that is older than the files of client ids keeps its name, and with it what the broker has for it.
        self.client_id = client_id(directory, number, f"stadspuls-{number}" if state else "")
        if state != _SESSION:
            self._note(_JOINING)

    def joined(self) -> None:
        """Note that the broker keeps messages for this slot from now on."""
        self._note(_SESSION)

    def may_leave(self) -> bool:
        """
        Tell whether another collector stays, and if so note that this one leaves.

        The last one keeps its session: what is published while no collector runs must wait somewhere.
        """
        with _alone(self._directory):
            slots = _slots(self._directory)
            if stay := any(held and state == _SESSION for number, held, state in slots if number != self.number):
                self._note(_LEAVING)
        return stay

    def left(self, empty: bool) -> None:
        """Note that the session is gone, or that it stays, without a subscription."""
        self._note(b"" if empty else _JOINING)

    def __exit__(self, *_: object) -> None:
        os.close(self._lock)

    def _note(self, what: bytes) -> None:
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, what, 0)


def take_slot(directory: Path, number: int | None = None) -> Slot:
    """
    Take one slot, by default the first that nobody holds.

    Raises OSError when a collector that runs has it (BlockingIOError), or where the directory cannot be used.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for one in chain(lost_slots(directory), count()) if number is None else (number,):
        lock = os.open(directory / f"slot-{one}", os.O_RDWR | os.O_CREAT, 0o660)
        with _alone(directory):
            is_free = _lockable(lock)
        if is_free:
            return Slot(directory, one, lock)
        os.close(lock)
    raise BlockingIOError(f"slot {number} in {directory} belongs to a running collector")


def client_id(directory: Path, number: int = 0, known: str = "") -> str:
    """
    Give the client id of a session, which is `known` or made at random when it is asked for first.

    It is kept in a file beside the slot's. Who can guess it takes the session over: a broker closes the connection of
    whoever has a client id when another client names it.
    """
    path = directory / f"client-id-{number}"
    with _alone(directory):
        found = path.read_text("latin-1") if path.exists() else None
        if found is not None and re.fullmatch(r"[\w-]{1,100}", found, re.ASCII):
            return found
        if found is not None:
            said = "a client id cannot be read, is put aside, and what the broker kept for it stays"
            log.warning(said, file=str(path))
            path.replace(path.with_suffix(".damaged"))
        draft, made = path.with_suffix(".new"), known or f"stadspuls-{secrets.token_hex(12)}"
        draft.write_text(made, "ascii")
        draft.chmod(0o660)
        draft.replace(path)
        return made


def lost_slots(directory: Path) -> list[int]:
    """Give the slots that the broker still has a session for, and no running collector has."""
    with _alone(directory):
        return [number for number, held, state in _slots(directory) if state and not held]


def held_slots(directory: Path) -> list[int]:
    """Give the slots of collectors that run."""
    with _alone(directory):
        return [number for number, held, _ in _slots(directory) if held]


def _slots(directory: Path) -> Iterator[tuple[int, bool, bytes]]:
    """Give number and state of each slot, and whether a collector holds it."""
    names = (path.name.removeprefix("slot-") for path in directory.glob("slot-*"))
    for number in sorted(int(name) for name in names if name.isdecimal()):
        with (directory / f"slot-{number}").open("rb") as file:
            yield number, not _lockable(file.fileno()), file.read()


def _lockable(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Look at the slots while nobody else does: a look locks them for a moment."""
    lock = os.open(directory / "slots.lock", os.O_RDWR | os.O_CREAT, 0o660)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
