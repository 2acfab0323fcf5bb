"""
What every open page shows, looked up once for all viewers.

While somebody has the page open, `Watch` reads the store once a second (a large city less often: reading takes a fifth
of the time at most), and tells the pages whose figures changed. A view is packed once, however many show it, and
`hub.web.live.mount` gives the same bytes to every browser.
"""

import asyncio
import gzip
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec
import structlog

from aggregates.ask.live import LENSES, RANGE, newest
from aggregates.store.health import state
from aggregates.store.store import Store, StoreError
from streams.notify.operators import alerts

_EVERY = 1.0  # s between two turns
_REST = 4.0  # times as long as a turn took
_HEALTH_EVERY = 5.0  # s
_ALIVE = 15.0  # s after which a stream without news says that it lives
_ALERTS = 100  # open ones that are counted
_NAMED = 8  # alerts or sensors of a list that are named
_RANGE_EVERY = 60.0  # s between two looks at a range, whose hours seldom change
_AGAIN = 15  # s after which a view is made anew though nothing was committed: windows end, sensors fall silent
_AWAY = b'{"away":true}'

log = structlog.get_logger(__name__)


class View(NamedTuple):
    """What a viewer has chosen: a quantity and a lens of `aggregates.ask.live.LENSES`."""

    quantity: str
    lens: str


class PackedView(NamedTuple):
    """A view as gzipped JSON, with a version that grows whenever its figures differ."""

    version: int
    made: float
    content: str
    body: bytes


def packed(content: str, now: datetime, version: int) -> bytes:
    """Give figures as gzipped JSON, with their moment and version."""
    head = msgspec.json.encode({"version": version, "at": now.timestamp()})
    return gzip.compress(head[:-1] + b"," + content[1:].encode(), 3)


class Watch:
    """
    What all pages share. `gauges` gives the numbers of `/healthz`, `zone` is that of the hub's days.

    What is looked up for everybody goes through one connection in one thread.
    """

    def __init__(self, open_store: Callable[[], Store], gauges: Callable[[], Mapping[str, object]], zone: str) -> None:
        self._store, self._gauges, self._zone = open_store(), gauges, ZoneInfo(zone)
        self._thread = ThreadPoolExecutor(1, "live")
        self._viewers: Counter[View] = Counter()
        self._turned = asyncio.Event()
        self._packed: dict[View, PackedView] = {}
        self._pulse: tuple[object, ...] = ()
        self._counted: deque[tuple[float, int, int]] = deque(maxlen=60)
        self._health: bytes | None = None
        self._examined = 0.0
        self._version = 0

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Take turns while the block runs; then close the connection."""
        turns = asyncio.create_task(self._run(), name="live")
        yield
        turns.cancel()
        self._thread.submit(self._store.close)
        self._thread.shutdown(wait=False)

    async def events(self, view: View) -> AsyncIterator[bytes]:
        """Yield to a viewer, as server-sent events, the version of its view's figures and the health of the hub."""
        self._viewers[view] += 1
        shown: dict[str, bytes | None] = {}
        try:
            while True:
                turned = self._turned
                packed = self._packed.get(view)
                news = {"figures": str(packed.version).encode() if packed else None, "health": self._health}
                for name, data in news.items():
                    if data is not None and data != shown.get(name):
                        yield b"event: %b\ndata: %b\n\n" % (name.encode(), data)
                shown = news
                with suppress(TimeoutError):
                    await asyncio.wait_for(turned.wait(), _ALIVE)
                if not turned.is_set():
                    yield b":\n\n"
        finally:
            self._viewers[view] -= 1

    async def packed(self, view: View) -> bytes:
        """Give what a view shows now as gzipped JSON; raises StoreError."""
        return (await asyncio.get_running_loop().run_in_executor(self._thread, self._kept, view)).body

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            self._viewers = +self._viewers  # without the views that nobody looks at
            if self._viewers:
                await loop.run_in_executor(self._thread, self._turn, set(self._viewers))
                self._turned.set()
                self._turned = asyncio.Event()
            else:
                self._counted.clear()
            await asyncio.sleep(max(_EVERY, _REST * (loop.time() - began)))

    def _turn(self, views: set[View]) -> None:
        try:
            self._look_up(views, datetime.now(UTC))
        except Exception as error:  # whatever it is, the next turn is taken
            log.warning("the live page cannot be renewed", error=str(error), exc_info=not isinstance(error, StoreError))
            self._health, self._examined = _AWAY, 0.0

    def _look_up(self, views: set[View], now: datetime) -> None:
        """Make the views anew whose figures may have changed, and every few seconds the health."""
        (found,) = self._store.rows("live_pulse")
        gauges = self._gauges()
        self._counted.append((now.timestamp(), int(str(found[0])), int(str(gauges.get("messages_received", 0)))))
        if len(self._counted) == 2 or now.timestamp() - self._examined >= _HEALTH_EVERY:
            self._health, self._examined = self._examine(now, gauges), now.timestamp()
        latest = (*found, int(now.timestamp()) // _AGAIN)
        if latest == self._pulse and views <= self._packed.keys():
            return
        self._packed = {view: packed for view, packed in self._packed.items() if view in views}
        for view in views:
            kept = self._packed.get(view)
            if kept is None or now.timestamp() - kept.made >= (_RANGE_EVERY if view.lens == RANGE else 0):
                self._pack(view, now)
        self._pulse = latest

    def _kept(self, view: View) -> PackedView:
        now = datetime.now(UTC)
        kept = self._packed.get(view)
        if kept and (self._viewers[view] or now.timestamp() - kept.made < _EVERY):
            return kept
        return self._pack(view, now)

    def _pack(self, view: View, now: datetime) -> PackedView:
        content = newest(self._store, view.quantity, LENSES[view.lens], now)
        kept = self._packed.get(view)
        if kept is None or kept.content != content:
            self._version += 1
            kept = PackedView(self._version, 0, content, packed(content, now, self._version))
        self._packed[view] = kept = kept._replace(made=now.timestamp())
        return kept

    def _examine(self, now: datetime, gauges: Mapping[str, object]) -> bytes:
        """Give as JSON how the hub is: rates a second (null: not known, or messages are taken elsewhere), and lists."""
        (first, readings, messages), (last, more, later) = self._counted[0], self._counted[-1]
        seconds, own = last - first, "messages_received" in gauges
        now_state = state(self._store, now)
        quiet = self._store.rows("live_silent", now=now)
        open_alerts = alerts(self._store, now, self._zone, limit=_ALERTS)
        return msgspec.json.encode({
            "rate": (more - readings) / seconds if seconds else None,
            "messages": (later - messages) / seconds if own and seconds else None,
            "in_flight": gauges.get("readings_in_flight"), "lag": now_state.oldest_mark,
            "letters": now_state.dead_letters, "viewers": self._viewers.total(),
            "silent": {"count": len(quiet), "first": quiet[:_NAMED]},
            "alerts": {"count": len(open_alerts), "first": open_alerts[:_NAMED]},
        })  # fmt: skip
