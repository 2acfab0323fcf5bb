"""
How single values of the settings are read and shown: durations, ports, lists of directories, hidden passwords.

`hub.settings.settings` makes its keys of these types.
"""

import ipaddress
import os
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo

from ingest.mqtt.address import Address
from ingest.vocabulary.values import duration


def _duration(value: object) -> object:
    try:
        return duration(value, may_be_zero=True) if isinstance(value, str) else value
    except ValueError:
        return value  # which pydantic refuses


def _path(value: object, info: ValidationInfo) -> object:
    """Make a path absolute; the context has the directory from which a key's relative paths are read."""
    if not isinstance(value, str | Path):
        return value  # which pydantic refuses
    directories = info.context or {}
    return directories.get(info.field_name, Path()).absolute() / Path(value).expanduser()


def _paths(value: object, info: ValidationInfo) -> object:
    parts = value.split(os.pathsep) if isinstance(value, str) else value
    return [_path(part, info) for part in parts if part] if isinstance(parts, list | tuple) else parts


def _checked(good: Callable[[Any], object], otherwise: str = "") -> AfterValidator:
    """Refuse a value for which `good` says no or fails, with a text in which `{}` is the value."""

    def check(value: Any) -> Any:
        with suppress(KeyError, OSError):
            if good(value):
                return value
        raise ValueError(otherwise.format(value))

    return AfterValidator(check)


Duration = Annotated[timedelta, BeforeValidator(_duration), Field(gt=timedelta(0))]
Port = Annotated[int, Field(ge=1, le=65_535)]
Place = Annotated[Path, BeforeValidator(_path)]
File = Annotated[Place, _checked(Path.is_file, "no file '{}'")]
Files = Annotated[tuple[Path, ...], BeforeValidator(_paths)]
Directories = Annotated[
    tuple[Annotated[Path, _checked(Path.is_dir, "no directory '{}'")], ...], BeforeValidator(_paths)
]
Zone = Annotated[str, _checked(ZoneInfo, "expected a tz name such as Europe/Amsterdam")]
Broker = Annotated[str, _checked(Address.parse)]
# Of a password with a plain @ or / the rest would be the host, which messages and logs name.
_URL = r"postgres(?:ql)?://(?:(?:[^\s@/%]|%[\da-fA-F]{2})*@)?(?:[^@?%]|%[\da-fA-F]{2})*(?:\?.*)?"
_PAIR = r"\w+\s*=\s*(?:'(?:[^'\\]|\\.)*'|(?!')(?:[^\s\\]|\\.)*)"
_EXPECTED = "expected postgresql://... (an @ of a password as %40, / as %2F, % as %25) or key=value pairs"
Database = Annotated[str, _checked(re.compile(rf"{_URL}|\s*{_PAIR}(?:\s+{_PAIR})*\s*").fullmatch, _EXPECTED)]


def is_loopback(host: str) -> bool:
    """
    Tell whether only this machine reaches `host`.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("0.0.0.0"), is_loopback("localhost")
    (True, True, False, True)
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def url_host(host: str) -> str:
    """
    Give the host part of the URL by which a client on this machine reaches what listens on `host`.

    >>> url_host("0.0.0.0"), url_host("::"), url_host("::1"), url_host("hub.example")
    ('127.0.0.1', '[::1]', '[::1]', 'hub.example')
    """
    reached = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"[{reached}]" if ":" in reached else reached


def masked(value: object) -> str:
    """
    Give a value as text, with the password of a URL or conninfo hidden.

    >>> masked("mqtt://me:p@ss@host"), masked(r"host=x password='my \\' secret' user=me")
    ('mqtt://me:***@host', 'host=x password=*** user=me')
    """
    if isinstance(value, tuple):
        return os.pathsep.join(map(str, value))
    text = re.sub(r"(://[^:@/\s]*:)\S*@", r"\1***@", "" if value is None else str(value))
    return re.sub(r"(password\s*=\s*)('(?:[^'\\]|\\.)*'?|(?:[^\s\\]|\\.)+)", r"\1***", text)
