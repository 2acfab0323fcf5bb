"""
Whether the system user that PostgreSQL runs as can reach its files, when the hub itself runs as root.

Used by `hub.postgres`. Permissions of users' directories are not changed: the error says what to do instead.
"""

import os
import pwd
import stat
import tempfile
from pathlib import Path

import structlog

from hub.servers import CannotStart

_log = structlog.get_logger(__name__)


def refuse_unreachable(path: Path, user: str) -> None:
    """
    Raise CannotStart when `user` cannot traverse a directory above `path`.

    Only below the system's directory for temporary files a private directory is opened for passing through.
    """
    entry = pwd.getpwnam(user)
    temporary = Path(tempfile.gettempdir()).resolve()
    for directory in reversed(path.resolve().parents):
        if may_pass(directory.stat(), entry):
            continue
        if not directory.is_relative_to(temporary):
            raise CannotStart(
                f"system user {user!r} cannot reach {path} because {directory} is private; "
                f"run the hub as a normal user, use another directory, or allow it with: chmod o+x {directory}"
            )
        _log.warning("private temporary directory opened for passing through", directory=str(directory), user=user)
        directory.chmod(directory.stat().st_mode | stat.S_IXOTH)


def may_pass(found: os.stat_result, entry: pwd.struct_passwd) -> bool:
    """Tell whether a user may traverse a directory, by the first class of permissions that fits."""
    if found.st_uid == entry.pw_uid:
        return bool(found.st_mode & stat.S_IXUSR)
    if found.st_gid == entry.pw_gid:
        return bool(found.st_mode & stat.S_IXGRP)
    return bool(found.st_mode & stat.S_IXOTH)
