"""
Where a broker is and how to get in: one URL, checked when it is read.

`ingest.mqtt.connection` connects to it; `hub.settings.settings` and the command line give it as text.
"""

import ssl
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

_PORTS = {"mqtt": 1883, "mqtts": 8883}
_VERSIONS = {"3.1.1": 4, "4": 4, "5": 5}
_KEYS = ("version", "ca", "cert", "key")


@dataclass(frozen=True, slots=True)
class Address:
    """A broker: host, port, credentials, TLS files and the protocol version (4 is MQTT 3.1.1)."""

    host: str
    port: int = 1883
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: bool = False
    version: int = 4
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None

    @classmethod
    def parse(cls, url: str) -> "Address":
        """
        Read `mqtt[s]://[user:password@]host[:port][?version=3.1.1|5][&ca=FILE][&cert=FILE&key=FILE]`.

        Raises ValueError, naming the part that is wrong and never showing the password.

        >>> Address.parse("mqtt://hub:secret@broker")
        Address(host='broker', port=1883, user='hub', tls=False, version=4, ca=None, cert=None, key=None)
        """
        parts = urlsplit(url)
        if parts.scheme not in _PORTS:
            raise ValueError(f"broker scheme {parts.scheme!r}, expected mqtt or mqtts")
        if not parts.hostname:
            raise ValueError("broker without a host, expected mqtt://host[:port]")
        if parts.path not in ("", "/") or parts.fragment:
            raise ValueError(f"broker path {parts.path!r}, expected none behind the port")
        options = _options(parts)
        return cls(
            host=parts.hostname,
            port=_port(parts),
            user=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password is not None else None,
            tls=parts.scheme == "mqtts",
            version=_version(options.get("version", "3.1.1")),
            **_files(parts.scheme, options),
        )

    def with_credentials(self, credentials: tuple[str, str] | None) -> "Address":
        """Give this address with a user name and a password, where they are given."""
        return replace(self, user=credentials[0], password=credentials[1]) if credentials else self

    def __str__(self) -> str:
        return f"{'mqtts' if self.tls else 'mqtt'}://{self.host}:{self.port}"

    def context(self) -> ssl.SSLContext:
        """Make the TLS context: the given CA, else those of the system; the client's certificate where there is one."""
        context = ssl.create_default_context(cafile=self.ca)
        if self.cert is not None:
            context.load_cert_chain(self.cert, self.key)
        return context


def _options(parts: SplitResult) -> dict[str, str]:
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if unknown := sorted(set(options) - set(_KEYS)):
        raise ValueError(f"broker option {', '.join(unknown)}, expected one of {', '.join(_KEYS)}")
    return options


def _port(parts: SplitResult) -> int:
    try:
        port = _PORTS[parts.scheme] if parts.port is None else parts.port
    except ValueError as error:
        raise ValueError("broker port is not a number from 1 to 65535") from error
    if port == 0:
        raise ValueError("broker port 0, expected 1 to 65535")
    return port


def _version(text: str) -> int:
    if text not in _VERSIONS:
        raise ValueError(f"broker option version {text!r}, expected 3.1.1 or 5")
    return _VERSIONS[text]


def _files(scheme: str, options: dict[str, str]) -> dict[str, Path]:
    files: dict[str, Path] = {name: Path(options[name]) for name in _KEYS[1:] if name in options}
    if files and scheme != "mqtts":
        raise ValueError(f"broker option {', '.join(files)} with mqtt, expected mqtts")
    if "key" in files and "cert" not in files:
        raise ValueError("broker option key without cert, expected both")
    for name, path in files.items():
        if not path.is_file():
            raise ValueError(f"broker option {name}: no file {str(path)!r}")
    return files
