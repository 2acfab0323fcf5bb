"""
Access for the system user that PostgreSQL runs as, when the hub itself runs as root.

`hub.servers.postgres` uses it. A private directory above its files is opened for traversal, never for reading, and that
is logged.
"""

import os
import pwd
import stat
from pathlib import Path

import structlog

from hub.servers.process import CannotStart

_log = structlog.get_logger(__name__)


def allow_traversal(path: Path, user: str) -> None:
    """Let `user` traverse every directory above `path`; raises CannotStart where that cannot be changed."""
    entry = pwd.getpwnam(user)
    for directory in reversed(path.resolve().parents):
        if may_traverse(directory.stat(), entry):
            continue
        try:
            directory.chmod(directory.stat().st_mode | stat.S_IXOTH)
        except OSError as error:
            raise CannotStart(f"system user {user!r} cannot reach {path}: {directory} is private ({error})") from error
        _log.warning("private directory opened for traversal", directory=str(directory), user=user)


def may_traverse(found: os.stat_result, entry: pwd.struct_passwd) -> bool:
    """Tell whether a user may traverse a directory, by the first class of permissions that fits."""
    if found.st_uid == entry.pw_uid:
        return bool(found.st_mode & stat.S_IXUSR)
    if found.st_gid == entry.pw_gid:
        return bool(found.st_mode & stat.S_IXGRP)
    return bool(found.st_mode & stat.S_IXOTH)
