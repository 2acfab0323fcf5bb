"""
Slots: which persistent session at the broker is whose; lock files in a directory that all collectors share.

When a member of a shared subscription goes for good, the broker keeps its part of the stream for it. So a session does
not belong to a process or a host but to a slot: who starts takes a free slot, first one whose session a killed
collector left, and with it what the broker kept. `Receiver.leave` empties a session that is given up.

Who knows the client id of a session can take it over, so it holds a random part, kept in a file beside the slot's.

A slot's file is locked while a collector has it, and holds the state of its session: `joining` until the subscription
is granted, `session` then, `leaving` while it is emptied, nothing when it is gone.
"""

import fcntl
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

import structlog

MOST = 1000
_JOINING, _SESSION, _LEAVING = b"joining\n", b"session\n", b"leaving\n"

log = structlog.get_logger("ingest.mqtt.slots")


class SlotTaken(Exception):  # noqa: N818 - what happened is the name
    """A slot belongs to a collector that runs, or no slot is free."""


class Slot:
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
            stay = any(held and state == _SESSION for number, held, state in slots if number != self.number)
            if stay:
                self._note(_LEAVING)
        return stay

    def left(self, empty: bool) -> None:
        """Note that the session is gone, or that it stays, without a subscription."""
        self._note(b"" if empty else _JOINING)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._lock)

    def _note(self, what: bytes) -> None:
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, what, 0)


def take_slot(directory: Path, number: int | None = None) -> Slot:
    """
    Take one slot, by default the first that nobody holds.

    Raises SlotTaken when a collector that runs has it, or OSError where the directory cannot be used.
    """
    directory.mkdir(parents=True, exist_ok=True)
    if number is None:
        for free in (*lost_slots(directory), *range(MOST)):
            with suppress(SlotTaken):
                return take_slot(directory, free)
        raise SlotTaken(f"all {MOST} slots in {directory} belong to running collectors")
    lock = os.open(directory / f"slot-{number}", os.O_RDWR | os.O_CREAT, 0o660)
    with _alone(directory):
        if not _lockable(lock):
            os.close(lock)
            raise SlotTaken(f"slot {number} in {directory} belongs to a running collector")
    return Slot(directory, number, lock)


def client_id(directory: Path, number: int = 0, known: str = "") -> str:
    """
    Give the client id of a session, which is `known` or made at random when it is asked for first.

    A broker closes the connection of whoever has a client id when another client names it.
    """
    path = directory / f"client-id-{number}"
    with _alone(directory):
        found = path.read_bytes() if path.exists() else b""
        if path.exists() and not re.fullmatch(rb"[\w-]{1,100}", found):
            log.warning(
                "a client id cannot be read, is put aside, and what the broker kept for it stays", file=str(path)
            )
            path.replace(path.with_suffix(".damaged"))
        if not path.exists():
            draft = path.with_suffix(".new")
            draft.write_text(known or f"stadspuls-{secrets.token_hex(12)}", "ascii")
            draft.chmod(0o660)
            draft.replace(path)
        return path.read_text("ascii")


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
