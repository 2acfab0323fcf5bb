"""
How Kafka lets a client in: encrypted or not, by name and password, by certificate.

`hub.settings.settings` makes one; the log's doors (`ingest.log.kafka`, `ingest.log.topics`,
`streams.worker.worker`) use it.
"""

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Access:
    """
    Name and password, if Kafka asks for them, and TLS, if it uses that; neither by default.

    `ca` names who signed Kafka's certificate, where the system does not know them; `certificate` and `key` are the
    client's own.
    """

    tls: bool = False
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    mechanism: str = "SCRAM-SHA-512"
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

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
