"""
Connections of the HTTP side, bounded in number and in the time that a request may take to arrive.

A stranger who opens many and sends nothing keeps neither the hub from its own files nor others from the page.
`hub.web.http` gives this to uvicorn.
"""

import asyncio
import resource

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MOST = 1_000  # connections, but no more than half of the files that this process may open
WHOLE_WITHIN = 20.0  # s until a request must be whole; of a connection that is used again, twice as long


class BoundedHttp(HttpToolsProtocol):
    """One connection, closed where there are too many, or where no whole request comes."""

    _requests = 0
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a connection, or refuse it."""
        super().connection_made(transport)
        if len(self.connections) > min(MOST, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2):
            transport.abort()
        else:
            self._timer = self.loop.call_later(WHOLE_WITHIN, self._look, 0)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def on_message_complete(self) -> None:
        """Note that a request is whole."""
        self._requests += 1
        super().on_message_complete()

    def _look(self, before: int) -> None:
        waits = self.cycle is None or self.cycle.more_body or self.cycle.response_complete
        if waits and self._requests == before:
            self.transport.abort()
        else:
            self._timer = self.loop.call_later(WHOLE_WITHIN, self._look, self._requests)
