"""
How Kafka lets a client in: encrypted or not, by name and password, by certificate.

`hub.run.distributed` makes one of the settings; the log's doors (`ingest.log.kafka`, `ingest.log.topics`,
`streams.worker.worker`) use it.
"""

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MECHANISMS = ("SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN")


@dataclass(frozen=True, slots=True)
class Access:
    """
    Name and password, if Kafka asks for them, and TLS, if it uses that; neither by default.

    `ca` names who signed Kafka's certificate, where the system does not know them; `certificate` and `key` are the
    client's own. Raises ValueError at birth for what cannot work.
    """

    tls: bool = False
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    mechanism: str = MECHANISMS[0]
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    def __post_init__(self) -> None:
        if (self.username is None) != (self.password is None):
            raise ValueError("kafka_username and kafka_password go together, found one of them")
        if self.mechanism not in MECHANISMS:
            raise ValueError(f"kafka_mechanism {self.mechanism!r}, expected one of {', '.join(MECHANISMS)}")
        if (self.certificate is None) != (self.key is None):
            raise ValueError("kafka_certificate and kafka_key go together, found one of them")
        if not self.tls and (self.ca or self.certificate):
            raise ValueError("kafka_ca and kafka_certificate are for TLS, expected kafka_tls = true")
        for name, path in (("ca", self.ca), ("certificate", self.certificate), ("key", self.key)):
            if path is not None and not path.is_file():
                raise ValueError(f"kafka_{name}: no file {str(path)!r}")

    def context(self) -> ssl.SSLContext | None:
        """Make the TLS context, None without TLS; raises OSError for files that are no certificate or key."""
        if not self.tls:
            return None
        made = ssl.create_default_context(cafile=self.ca)
        if self.certificate is not None:
            made.load_cert_chain(self.certificate, self.key)
        return made

    def arguments(self) -> dict[str, Any]:
        """Give the arguments that every client of aiokafka takes."""
        sasl, tls = "" if self.username is None else "SASL_", "SSL" if self.tls else "PLAINTEXT"
        return {
            "security_protocol": sasl + tls, "ssl_context": self.context(), "sasl_mechanism": self.mechanism,
            "sasl_plain_username": self.username, "sasl_plain_password": self.password,
        }  # fmt: skip
