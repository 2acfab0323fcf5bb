"""
Which requests are let in at all: by the name of the hub that they use, the site that they come from, and their size.

`hub.web.http` puts `Admission` around the whole application. A browser takes any name for the address that a stranger's
name server gives (DNS rebinding), and sends what a page of any site asks it to: neither may act here, nor read what is
meant for this machine alone.
"""

from collections.abc import Collection
from urllib.parse import urlsplit

from fastapi.responses import PlainTextResponse
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub.settings.values import is_loopback

LARGEST_BODY = 64 << 10
_HEADERS = {
    "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Content-Security-Policy": "frame-ancestors 'none'",
}  # fmt: skip


class Admission:
    """
    Refuses foreign names and foreign pages, bounds bodies, and adds the headers that keep browsers safe.

    `hosts` are the names of the hub beside those of this machine; with `any_host` every name will do. What lies below
    `readable` may be asked for by pages of other sites; CORS decides whether they see the answer.
    """

    def __init__(self, app: ASGIApp, *, hosts: Collection[str], any_host: bool, readable: str) -> None:
        self._app, self._hosts, self._any, self._readable = app, hosts, any_host, readable

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or let the application answer."""

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        refused = self._refused(scope) if scope["type"] in ("http", "websocket") else None
        if refused is None:
            await self._app(scope, receive, sent)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await refused(scope, receive, sent)

    def _refused(self, scope: Scope) -> PlainTextResponse | None:
        headers = Headers(scope=scope)
        host, origin = headers.get("host", ""), headers.get("origin")
        here = (scope.get("server") or [""])[0]
        if not (self._any or is_loopback(name := _name(f"//{host}")) or name in {here, *self._hosts}):
            return PlainTextResponse(f"host {host!r}, expected a name of this hub: see the setting http_hosts\n", 421)
        own = origin is None or origin.partition("//")[2] == host or _name(origin) in self._hosts
        reads = scope.get("method") in ("GET", "HEAD", "OPTIONS") and scope["path"].startswith(f"{self._readable}/")
        if not (own or reads):
            return PlainTextResponse(f"a page of {origin!r} may not act here: see the setting http_hosts\n", 403)
        length = headers.get("content-length", "0")
        if "transfer-encoding" in headers or not length.isdecimal() or int(length) > LARGEST_BODY:
            text = f"a body of {length} bytes or of unknown length, expected Content-Length, at most {LARGEST_BODY}\n"
            return PlainTextResponse(text, 413)
        return None


def _name(address: str) -> str:
    try:
        return (urlsplit(address).hostname or "").rstrip(".")
    except ValueError:
        return ""
