"""
Who runs PostgreSQL and owns its files: we, or a system user where the hub itself runs as root, which it refuses to be.

`hub.servers.postgres` uses it. A private directory above its files is opened for traversal, never for reading, and that
is logged.
"""

import os
import pwd
import stat
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog

from hub.servers.process import CannotStart
from ingest.vocabulary.values import raised_as

_USER = "pgserver"

_log = structlog.get_logger(__name__)


class Runner:
    """The user who runs the server of a directory: the owner of the data, if there are any."""

    def __init__(self, data: Path) -> None:
        self._name: str | None = None
        if os.geteuid() == 0:
            self._name = _USER
            with suppress(FileNotFoundError, KeyError):
                owner = data.stat().st_uid
                self._name = pwd.getpwuid(owner).pw_name if owner else _USER

    @property
    def popen(self) -> dict[str, Any]:
        """What a process is started with, to run as this user."""
        entry = self._entry()
        return {} if entry is None else {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}

    def reach(self, *places: Path) -> None:
        """Let the user traverse every directory above these places; raises CannotStart where that cannot be."""
        if self._name is not None:
            _make_user(self._name)
            for place in places:
                allow_traversal(place, self._name)

    def own(self, path: Path) -> None:
        """Give the user a file or directory of ours."""
        if entry := self._entry():
            os.chown(path, entry.pw_uid, entry.pw_gid, follow_symlinks=False)

    def private(self, directory: Path, closed: int = 0o077) -> None:
        """
        Make a directory that is ours alone; raises CannotStart for one that was there and is not.

        `closed` are the permissions that others may not have: PostgreSQL takes data that its group may read.
        """
        with suppress(FileExistsError):
            directory.mkdir(mode=0o700)
        # Before anything is changed: what another user has put there may be open to him, or lead elsewhere.
        found, entry = directory.lstat(), self._entry()
        ours = {os.geteuid(), entry.pw_uid if entry else os.geteuid()}
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in ours or stat.S_IMODE(found.st_mode) & closed:
            raise CannotStart(
                f"{directory} is {stat.filemode(found.st_mode)} of user {found.st_uid}, expected a directory of our own"
                " that nobody else reaches, drwx------ (chmod 700)"
            )
        self.own(directory)

    def _entry(self) -> pwd.struct_passwd | None:
        return None if self._name is None else pwd.getpwnam(self._name)


def _make_user(name: str) -> None:
    try:
        pwd.getpwnam(name)
    except KeyError:
        found = f"PostgreSQL does not run as root and system user {name!r} cannot be made"
        with raised_as(CannotStart, OSError, subprocess.CalledProcessError, at=found):
            subprocess.run(["useradd", "--system", "--shell", "/bin/false", name], capture_output=True, check=True)


def allow_traversal(path: Path, user: str) -> None:
    """Let `user` traverse every directory above `path`; raises CannotStart where that cannot be changed."""
    entry = pwd.getpwnam(user)
    for directory in reversed(path.resolve().parents):
        if may_traverse(directory.stat(), entry):
            continue
        with raised_as(CannotStart, OSError, at=f"system user {user!r} cannot reach {path}: {directory} is private"):
            directory.chmod(directory.stat().st_mode | stat.S_IXOTH)
        _log.warning("private directory opened for traversal", directory=str(directory), user=user)


def may_traverse(found: os.stat_result, entry: pwd.struct_passwd) -> bool:
    """Tell whether a user may traverse a directory, by the first class of permissions that fits."""
    if found.st_uid == entry.pw_uid:
        return bool(found.st_mode & stat.S_IXUSR)
    if found.st_gid == entry.pw_gid:
        return bool(found.st_mode & stat.S_IXGRP)
    return bool(found.st_mode & stat.S_IXOTH)
