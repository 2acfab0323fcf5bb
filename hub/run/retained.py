"""
Keeps the retained messages of a broker few: every minute those beyond `retained_bytes` are deleted, but the hub's own.

`hub.run.embedded` and `hub.run.collect` run it beside their receiver, but not with the built-in broker, which shows 200
of them at most (docs/traps.md).
"""

import structlog

from hub.run.parts import Background
from ingest.mqtt.address import Address
from ingest.mqtt.client import clear_retained
from ingest.vocabulary.sources import is_news, subscriptions

EVERY = 60.0  # s

log = structlog.get_logger(__name__)


class RetainedLimit(Background):
    """Looks at one broker; `most` bytes of messages may be retained."""

    def __init__(self, broker: Address, most: int) -> None:
        super().__init__("retained messages")
        self._broker, self._most = broker, most

    def run(self) -> None:
        """Look once a minute."""
        while not self.wait(EVERY):
            self.step("retained messages", self._look)

    def _look(self) -> None:
        if deleted := clear_retained(self._broker, subscriptions(), self._most, is_news):
            log.warning("retained messages beyond retained_bytes deleted", messages=deleted, bytes=self._most)
