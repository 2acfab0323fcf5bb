"""
Readings that raise alerts, and a webhook that notes when these arrive.

`lab.bench.alerts` measures how long that takes, `lab.soak` whether it stays so.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec

from hub.settings.settings import Settings

_RULE = """
[[rule]]
name = "bench"
title = "Bench"
quantity = "no2"
level = "5m"
raise = 100
severity = "critical"
"""


class Hook:
    """A webhook that notes when each subject first arrived."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.posts = 0
        self.seen: dict[str, float] = {}

    def take(self, body: bytes) -> None:
        """Note a post."""
        now = time.perf_counter()
        posted = msgspec.json.decode(body)["alerts"]
        self.posts += bool(posted)
        for one in posted:
            self.seen.setdefault(one["subject"], now)


@contextmanager
def webhook() -> Iterator[Hook]:
    """Run a webhook on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            hook.take(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hook = Hook(server.server_address[1])
    threading.Thread(target=server.serve_forever, name="webhook", daemon=True).start()
    try:
        yield hook
    finally:
        server.shutdown()
        server.server_close()


def alerting(settings: Settings, directory: Path, hook: Hook) -> Settings:
    """Give settings with the bench's rule and the webhook as channel, both in files of a directory."""
    rules = directory / "rules"
    rules.mkdir()
    (rules / "bench.toml").write_text(_RULE)
    channels = directory / "channels.toml"
    channels.write_text(f'[channel.hook]\nurl = "json://127.0.0.1:{hook.port}/"\n')
    return settings.model_copy(update={"alert_channels": channels, "rules": (rules,)})


def alarm(number: int, window: datetime, value: float) -> tuple[str, bytes]:
    """Give a value of a whole window; only one above 100 raises, and those below are of the window before."""
    start = window if value > 100 else window - timedelta(minutes=5)
    payload = (
        f'{{"sensor_id":"stadspuls/ALARM-{number:06d}","quantity":"no2","unit":"ug/m3",'
        f'"start":"{start:%Y-%m-%dT%H:%M:%SZ}","period":300,"value":{value}}}'
    )
    return f"stadspuls/stadspuls/ALARM-{number:06d}", payload.encode()
