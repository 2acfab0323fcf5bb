"""
How single values of the settings are read and shown: durations, ports, lists of directories, hidden passwords.

`hub.settings.settings` makes its keys of these types.
"""

import ipaddress
import os
import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Field

from ingest.vocabulary.durations import duration


def _duration(value: object) -> object:
    try:
        return duration(value, may_be_zero=True) if isinstance(value, str) else value
    except ValueError:
        return value  # which pydantic refuses


def _split(value: object) -> object:
    return [part for part in value.split(os.pathsep) if part] if isinstance(value, str) else value


Duration = Annotated[timedelta, BeforeValidator(_duration), Field(gt=timedelta(0))]
Port = Annotated[int, Field(ge=1, le=65_535)]
Directories = Annotated[tuple[Path, ...], BeforeValidator(_split)]


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
    """Give a value as text, with the password of a URL or conninfo hidden."""
    if isinstance(value, tuple):
        return os.pathsep.join(map(str, value))
    return re.sub(r"(://[^:@/\s]*:)[^@/\s]*@|(password\s*=\s*)\S+", _stars, "" if value is None else str(value))


def _stars(found: re.Match[str]) -> str:
    return f"{found[1]}***@" if found[1] else f"{found[2]}***"
