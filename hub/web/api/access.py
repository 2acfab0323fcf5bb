"""
Who may read: everyone where the hub listens on its own machine alone or is public, else who has the token.

The token comes as `Authorization: Bearer TOKEN`, or for a browser as the password of any user name (Basic). What is
`secret` needs it always.
"""

import base64
import binascii
import hmac
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from fastapi.responses import Response
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send


@dataclass(frozen=True, slots=True)
class ReadAccess:
    """The settings about it; without a token nobody has one."""

    token: str | None = None
    public: bool = False

    @property
    def guarded(self) -> bool:
        """Tell whether reading needs the token."""
        return self.token is not None and not self.public

    @property
    def trusting(self) -> bool:
        """Tell whether whoever reaches the hub may do everything: it listens on its own machine alone."""
        return self.token is None and not self.public

    def has_token(self, headers: Headers) -> bool:
        """Tell whether a request brought the token."""
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() == "basic":
            given = _password(given)
        elif kind.lower() != "bearer":
            return False
        return self.token is not None and hmac.compare_digest(given.strip().encode(), self.token.encode())


def _password(encoded: str) -> str:
    try:
        return base64.b64decode(encoded, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""


class Guard:
    """Lets through only requests with the token; `free` paths need none, and what lies below those that end in `/`."""

    def __init__(
        self, app: ASGIApp, *, access: ReadAccess, refuse: Callable[[], Response], free: Iterable[str] = ()
    ) -> None:
        self._app, self._access, self._refuse = app, access, refuse
        self._free = tuple(free)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let the application answer."""
        if scope["type"] not in ("http", "websocket") or self._open(scope):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await self._refuse()(scope, receive, send)

    def _open(self, scope: Scope) -> bool:
        path = scope["path"]
        free = any(path == one or (one.endswith("/") and path.startswith(one)) for one in self._free)
        return free or not self._access.guarded or self._access.has_token(Headers(scope=scope))
