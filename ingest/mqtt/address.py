"""
Where a broker is and how to get in: one URL, checked when it is read.

`ingest.mqtt.connection` connects to it; `hub.settings.settings` and the command line give it as text.
"""

import ssl
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

_PORTS = {"mqtt": 1883, "mqtts": 8883}
_VERSIONS = {"3.1.1": 4, "5": 5}
_FILES = ("ca", "cert", "key")
_KEYS = ("version", *_FILES)


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
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        files = {name: Path(options[name]) for name in _FILES if name in options}
        version = options.get("version", "3.1.1")
        try:
            port = parts.port
        except ValueError:
            port = -1
        for wrong, found in (
            (parts.scheme not in _PORTS, f"scheme {parts.scheme!r}, expected mqtt or mqtts"),
            (not parts.hostname, "without a host, expected mqtt://host[:port]"),
            (port == -1, "port is not a number from 1 to 65535"),
            (port == 0, "port 0, expected 1 to 65535"),
            (parts.path not in ("", "/") or parts.fragment, f"path {parts.path!r}, expected none behind the port"),
            (version not in _VERSIONS, f"option version {version!r}, expected 3.1.1 or 5"),
            (files and parts.scheme != "mqtts", f"option {', '.join(files)} with mqtt, expected mqtts"),
            ("key" in files and "cert" not in files, "option key without cert, expected both"),
            *((name not in _KEYS, f"option {name}, expected one of {', '.join(_KEYS)}") for name in options),
            *((not file.is_file(), f"option {name}: no file {str(file)!r}") for name, file in files.items()),
        ):
            if wrong:
                raise ValueError(f"broker {found}")
        return cls(
            host=parts.hostname or "", port=_PORTS[parts.scheme] if port is None else port,
            user=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password is not None else None, tls=parts.scheme == "mqtts",
            version=_VERSIONS[version], **files,
        )  # fmt: skip

    def with_credentials(self, credentials: tuple[str, str] | None) -> "Address":
        """Give this address with a user name and a password, where they are given."""
        return replace(self, user=credentials[0], password=credentials[1]) if credentials else self

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'mqtts' if self.tls else 'mqtt'}://{host}:{self.port}"

    def context(self) -> ssl.SSLContext:
        """Make the TLS context: the given CA, else those of the system; the client's certificate where there is one."""
        context = ssl.create_default_context(cafile=self.ca)
        if self.cert is not None:
            context.load_cert_chain(self.cert, self.key)
        return context
