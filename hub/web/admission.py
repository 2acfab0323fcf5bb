"""
Which requests are let in at all: by the name of the hub that they use, the site that they come from, their size, and
the token.

`hub.web.http` puts a `Gate` around the whole application, and `hub.web.api.app` one around the API. A browser takes any
name for the address that a stranger's name server gives (DNS rebinding), and sends what a page of any site asks it to:
neither may act here, nor read what is meant for this machine alone.
"""

import base64
import hmac
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple, Self
from urllib.parse import urlsplit

from fastapi.responses import PlainTextResponse, Response
from starlette.datastructures import Headers, MutableHeaders, QueryParams
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub.settings.settings import Settings
from hub.settings.values import is_loopback

PREFIX = "/api/v1"  # of the API
OGC = "/ogc"  # of OGC API Features
STA = "/sta/v1.1"  # of SensorThings
READABLE = (f"{PREFIX}/", f"{OGC}/", f"{STA}/")  # by pages of other sites, where who asks may read
BASIC = 'Basic realm="Stadspuls, the token as password", charset="UTF-8"'  # asks a browser for the token
LARGEST_BODY = 64 << 10
Health = Callable[[], Mapping[str, object]]  # gives the numbers of `/healthz`: at least `ready`
READS = ("GET", "HEAD", "OPTIONS")
FRAMES = "/read/"  # before QUANTITY/KEY/: a map that pages of other sites frame, whose key goes before the token
_IN_FRAME = re.compile(r"/(live/(files/.+|figures|past|events|places|areas|base|statistic|usual))?")  # what it fetches


def framed(ancestors: str) -> Mapping[str, str]:
    """Give the headers of every answer; pages of these origins may show it in a frame."""
    denied = {} if ancestors else {"X-Frame-Options": "DENY"}
    policy = "frame-ancestors " + (ancestors or "'none'")
    return {"X-Content-Type-Options": "nosniff", "Content-Security-Policy": policy, **denied}


class Gate:
    """Gives what `refusal` returns, or lets the application answer, HEAD as GET; adds headers to either."""

    def __init__(
        self, app: ASGIApp, *, refusal: Callable[[Scope], Response | None] = lambda _: None,
        headers: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        self._app, self._refusal, self._headers = app, refusal, headers or {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or let the application answer."""
        refused = self._refusal(scope) if scope["type"] == "http" else None
        if scope.get("method") == "HEAD":
            scope = {**scope, "method": "GET"}  # whose body the server leaves out

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self._headers)
            await send(message)

        await (refused or self._app)(scope, receive, sent)


class Access(NamedTuple):
    """
    Who may read: everyone where the hub listens on its own machine alone or is public, else who has the token.

    The token comes as `Authorization: Bearer TOKEN`, or for a browser as the password of any user name (Basic). What
    is secret needs it always. `hosts` are names of the hub beside those of this machine. Keys of frames are made of
    `frame_secret`, and end with it.
    """

    token: str | None
    public: bool
    hosts: tuple[str, ...]
    frame_secret: bytes = b""

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Read the settings about it."""
        hosts = tuple(name.strip().lower() for name in settings.http_hosts.split(",") if name.strip())
        token = settings.api_token.get_secret_value() if settings.api_token else None
        secret = settings.frame_secret.get_secret_value().encode() if settings.frame_secret else b""
        return cls(token, settings.public, hosts, secret)

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

    def frame_key(self, quantity: str) -> str:
        """Give the key by which anybody may read the map of a quantity; "" where none can be made."""
        return hmac.digest(self.frame_secret, quantity.encode(), "sha256")[:16].hex() if self.frame_secret else ""

    def not_framed(self, scope: Scope) -> Response | None:
        """Refuse below FRAMES what has not the key of its quantity, and all but reading what its map shows."""
        quantity, key = (scope["path_params"][name] for name in ("quantity", "key"))
        of_others = {*QueryParams(scope["query_string"]).getlist("quantity")} - {quantity}
        shown = scope["method"] in READS and _IN_FRAME.fullmatch(scope["path"].removeprefix(scope["root_path"]))
        if shown and not of_others and hmac.compare_digest(key.encode(), self.frame_key(quantity).encode()):
            return None
        return PlainTextResponse("this address may only read the map of a quantity, with its key\n", 403)

    def strange(self, scope: Scope) -> Response | None:
        """
        Refuse foreign names of the hub, pages of other sites, and bodies that are long or have no length.

        What needs a token needs it under any name. What is READABLE may be asked for by pages of other sites; CORS
        decides whether they see the answer.
        """
        headers = Headers(scope=scope)
        host, origin = headers.get("host", ""), headers.get("origin")
        here = (scope.get("server") or [""])[0]
        if self.trusting and not is_loopback(name := _name(f"//{host}")) and name not in {here, *self.hosts}:
            return PlainTextResponse(f"host {host!r}, expected a name of this hub: see the setting http_hosts\n", 421)
        readable = (*READABLE, FRAMES) if origin == "null" else READABLE  # a sandboxed frame has no origin
        own = origin is None or origin.partition("//")[2] == host or _name(origin) in self.hosts
        if not own and not (scope.get("method") in READS and scope["path"].startswith(readable)):
            return PlainTextResponse(f"a page of {origin!r} may not act here: see the setting http_hosts\n", 403)
        length = headers.get("content-length", "0")
        if "transfer-encoding" in headers or not length.isdecimal() or float(length) > LARGEST_BODY:
            text = f"a body of {length} bytes or of unknown length, expected Content-Length, at most {LARGEST_BODY}\n"
            return PlainTextResponse(text, 413)
        return None


def _password(encoded: str) -> str:
    try:
        return base64.b64decode(encoded, validate=True).decode().partition(":")[2]
    except ValueError:  # of base64 and of UTF-8
        return ""


def _name(address: str) -> str:
    try:
        return (urlsplit(address).hostname or "").rstrip(".")
    except ValueError:
        return ""
