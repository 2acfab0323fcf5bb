"""What notifications are sent to in the tests: a real SMTP server and a real HTTP server, which may fail on purpose."""

import email
import json
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message as Mail
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.support.brokers import free_port


class MailBox:
    """An SMTP server; it turns down a share `failing` of the mails, half of these after it has taken them."""

    def __init__(self, failing: float = 0.0, seed: int = 1) -> None:
        self.mails: list[Mail] = []
        self.turned_down = 0
        self.port = free_port()
        self.failing = failing
        self._random = random.Random(seed)
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - its name there
        """Take a mail, or fail: before it was taken, or after, so that the sender cannot know."""
        fails = self._random.random() < self.failing
        if fails and self._random.random() < 0.5:
            self.turned_down += 1
            return "451 try again later"
        content = envelope.content
        assert isinstance(content, bytes)
        self.mails.append(email.message_from_bytes(content))
        if fails:
            self.turned_down += 1
            return "451 something went wrong after all"
        return "250 taken"

    def __enter__(self) -> "MailBox":
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._controller.stop()

    @property
    def url(self) -> str:
        """The channel's URL."""
        return f"mailto://127.0.0.1:{self.port}?from=hub@example.nl&to=duty@example.nl"


class Hook:
    """An HTTP server that notes what is posted and asked; a share `failing` fails, half of it after being noted."""

    def __init__(self, failing: float = 0.0, seed: int = 2, refusal: int = 503) -> None:
        self.posts: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.gets: list[str] = []
        self.turned_down = 0
        self.failing, self.refusal = failing, refusal
        self._random = random.Random(seed)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.port = self._server.server_address[1]

    @property
    def url(self) -> str:
        """The channel's URL."""
        return f"json://127.0.0.1:{self.port}/hook"

    def answer(self, body: bytes, headers: dict[str, str]) -> int:
        """Note a post and give the status to answer with."""
        fails = self._random.random() < self.failing
        if not fails or self._random.random() < 0.5:
            self.posts.append(json.loads(body))
            self.headers.append(headers)
            self.keys.append(headers.get("Idempotency-Key", ""))
        self.turned_down += fails
        return self.refusal if fails else 200

    def once(self) -> list[dict[str, Any]]:
        """The posts as a receiver keeps them that knows a repetition by its key."""
        first: dict[str, dict[str, Any]] = {}
        for key, post in zip(self.keys, self.posts, strict=True):
            assert first.setdefault(key, post) == post, "a repetition says the same"
        return list(first.values())

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self._end(hook.answer(body, dict(self.headers)))

            def do_GET(self) -> None:
                hook.gets.append(self.path)
                self._end(200)

            def _end(self, status: int) -> None:
                answer = b'{"message": "ok", "id": 1}'
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler

    def __enter__(self) -> "Hook":
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def transitions(posts: list[dict[str, Any]]) -> list[int]:
    """The transitions that posts tell of, in order."""
    return [one["transition"] for post in posts for one in post["alerts"]]


@contextmanager
def both(failing: float = 0.0) -> Iterator[tuple[MailBox, Hook]]:
    """A mail server and a webhook."""
    with MailBox(failing) as mails, Hook(failing) as hook:
        yield mails, hook
