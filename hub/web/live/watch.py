"""
What every open page shows, looked up once for all viewers: figures, how the hub is, and what is usual.

While somebody has the page open, `Watch` reads the store once a second (a large city less often: reading takes a fifth
of the time at most), and tells the pages whose figures changed. A view is packed once, however many show it, and
`hub.web.live.mount` gives the same bytes to every browser. `UsualHours` has hours beside what `streams.alerts.unusual`
finds usual, for the map and lists, and a band for the chart of a day.
"""

import asyncio
import gzip
import time
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import pandas as pd
import structlog

from aggregates.ask.live import LENSES, RANGE, newest
from aggregates.store.errors import StoreError
from aggregates.store.health import state
from aggregates.store.store import Store
from hub.web.api.answers import Stores
from ingest.vocabulary.calendar import Days
from ingest.vocabulary.quantities import QUANTITIES
from ingest.vocabulary.readings import utc
from streams.alerts.unusual import EDGES, beside_usual, ranked
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
_KEPT = 60.0  # s that an hour beside what is usual stays as it is
_MOST = 16  # of these hours
_HOUR = timedelta(hours=1)
_ROW = ["sensor_id", "name", "value", "usual", "deviation", "coverage", "reason"]

View = tuple[str, str]  # what a viewer has chosen: a quantity, and a lens of `aggregates.ask.live.LENSES`

log = structlog.get_logger(__name__)


class PackedView(NamedTuple):
    """A view as gzipped JSON: when its figures last differed, and when that was last looked at."""

    at: float
    looked: float
    content: str
    body: bytes


def packed(content: str, now: datetime) -> bytes:
    """Give figures as gzipped JSON, with their moment."""
    head = msgspec.json.encode({"at": now.timestamp()})
    return gzip.compress(head[:-1] + b"," + content[1:].encode(), 1)


class Watch:
    """
    What all pages share. `gauges` gives the numbers of `/healthz`, `zone` is that of the hub's days.

    What is looked up for everybody goes through one connection in one thread.
    """

    def __init__(self, store: Store, gauges: Callable[[], Mapping[str, object]], zone: str) -> None:
        self._store, self._gauges, self._zone = store, gauges, ZoneInfo(zone)
        self._thread = ThreadPoolExecutor(1, "live")
        self._viewers: Counter[View] = Counter()
        self._turned = asyncio.Event()
        self._packed: dict[View, PackedView] = {}
        self._pulse: tuple[object, ...] = ()
        self._counted: deque[tuple[float, int, int]] = deque(maxlen=12)
        self._health: bytes | None = None
        self._examined = 0.0

    @asynccontextmanager
    async def running(self, _: object) -> AsyncIterator[None]:
        """Take turns while the application runs; then close the connection."""
        turns = asyncio.create_task(self._run(), name="live")
        yield
        turns.cancel()
        self._thread.submit(self._store.close)
        self._thread.shutdown(wait=False)

    async def events(self, view: View, *, framed: bool = False) -> AsyncIterator[bytes]:
        """Yield as server-sent events when a view's figures changed and how the hub is, `framed` only if it is away."""
        self._viewers[view] += 1
        shown: dict[str, bytes | None] = {}
        try:
            while True:
                turned = self._turned
                packed = self._packed.get(view)
                health = b"{}" if framed and self._health not in (None, _AWAY) else self._health
                news = {"figures": str(packed.at).encode() if packed else None, "health": health}
                for name, data in news.items():
                    if data is not None and data != shown.get(name):
                        yield b"event: %b\ndata: %b\n\n" % (name.encode(), data)
                shown = news
                try:
                    await asyncio.wait_for(turned.wait(), _ALIVE)
                except TimeoutError:
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
        if now.timestamp() - self._examined >= _HEALTH_EVERY:
            self._health, self._examined = self._examine(now, int(str(found[0]))), now.timestamp()
        latest = (*found, int(now.timestamp()) // _AGAIN)
        if latest == self._pulse and views <= self._packed.keys():
            return
        self._packed = {view: packed for view, packed in self._packed.items() if view in views}
        for view in views:
            kept = self._packed.get(view)
            if kept is None or now.timestamp() - kept.looked >= (_RANGE_EVERY if view[1] == RANGE else 0):
                self._pack(view, now)
        self._pulse = latest

    def _kept(self, view: View) -> PackedView:
        now = datetime.now(UTC)
        kept = self._packed.get(view)
        if kept and (self._viewers[view] or now.timestamp() - kept.looked < _EVERY):
            return kept
        return self._pack(view, now)

    def _pack(self, view: View, now: datetime) -> PackedView:
        quantity, lens = view
        content = newest(self._store, quantity, LENSES[lens], now)
        kept = self._packed.get(view)
        if kept is None or kept.content != content:
            kept = PackedView(now.timestamp(), 0, content, packed(content, now))
        self._packed[view] = kept = kept._replace(looked=now.timestamp())
        return kept

    def _examine(self, now: datetime, received: int) -> bytes:
        """Give as JSON how the hub is: rates a second (null: not known, or messages are taken elsewhere), and lists."""
        gauges = self._gauges()
        self._counted.append((now.timestamp(), received, int(str(gauges.get("messages_received", 0)))))
        (first, readings, messages), (last, more, later) = self._counted[0], self._counted[-1]
        seconds, own = last - first, "messages_received" in gauges
        now_state = state(self._store, now)
        quiet = self._store.rows("live_silent", now=now)
        open_alerts = alerts(self._store, now, self._zone, limit=_ALERTS)
        return msgspec.json.encode({
            "rate": (more - readings) / seconds if seconds else None,
            "messages": (later - messages) / seconds if own and seconds else None,
            "in_flight": gauges.get("readings_in_flight"), "lag": now_state.rollup_lag or None,
            "letters": now_state.dead_letters, "viewers": self._viewers.total(),
            "silent": {"count": len(quiet), "first": quiet[:_NAMED]},
            "alerts": {"count": len(open_alerts), "first": open_alerts[:_NAMED]},
        })  # fmt: skip


class UsualHours:
    """Hours beside what is usual for them, looked up once for all viewers: each is kept for a minute."""

    def __init__(self, days: Days) -> None:
        self._days = days
        self._kept: dict[tuple[str, datetime], tuple[float, pd.DataFrame]] = {}
        self._lock = Lock()

    def hour(self, stores: Stores, quantity: str, start: datetime, most: int | None) -> dict[str, Any]:
        """
        Give an hour: `at` in seconds since 1970, how many are `judged`, and `rows`, at most so many of each reason.

        A row is `[id, name, value, usual, deviation, coverage, reason]`, the most unusual first. `reasons` has the
        number of sensors by the reason why they cannot be judged. Who waits for another viewer holds no connection.
        """
        with self._lock:
            made, found = self._kept.get((quantity, start), (-_KEPT, pd.DataFrame()))
            if time.monotonic() - made >= _KEPT:
                found = ranked(stores.ask(lambda store: beside_usual(store, self._days, quantity, [start])))
                found = found.round({"value": 3, "usual": 3})
                self._kept = dict(list(self._kept.items())[1 - _MOST :])
                self._kept[quantity, start] = time.monotonic(), found
        reasons = found["reason"].value_counts().to_dict()
        shown = found if most is None else found.groupby("reason", sort=False).head(most)
        rows = shown[_ROW].round({"deviation": 2}).astype(object)
        return {
            "at": start.timestamp(), "judged": reasons.pop("", 0), "reasons": reasons,
            "rows": rows.where(rows.notna(), None).to_numpy().tolist(),
        }  # fmt: skip

    def band(self, store: Store, sensor: str, quantity: str, day: datetime) -> dict[int, list[float]]:
        """Give by local hour of a day, from its midnight on, what is as usual: lower end, median and upper end."""
        begin, until = (one.astimezone(UTC) for one in (day, day + timedelta(days=1)))
        starts = [begin + _HOUR * n for n in range((until - begin) // _HOUR)]
        found = beside_usual(store, self._days, quantity, starts, sensors=[sensor]).dropna(subset="usual")
        width = found["spread"] * EDGES[2]
        lower = np.maximum(found["usual"] - width, QUANTITIES[quantity].low)
        ends = zip(found["start"], lower, found["usual"], found["usual"] + width, strict=True)
        # Of two hours of one name, in the night when clocks go back, the first stays.
        return {utc(int(at)).astimezone(day.tzinfo).hour: [*band] for at, *band in reversed(list(ends))}
