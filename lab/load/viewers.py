"""
Viewers of the live page: each opens the page, keeps its stream of events, and fetches the figures when they change.

They run in a process of their own (`python -m lab.load.viewers URL COUNT`), so that what they cost is not the hub's;
`looked_at` starts it, and gives what they received.
"""

import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import msgspec

from hub.servers.process import CannotStart

_OPEN_WITHIN = 60.0  # s
_VIEW = "quantity=vehicle_count&lens=5m"  # what the page shows first


@dataclass
class Seen:
    """What all viewers received: notices of change, and bytes of figures."""

    notices: int = 0
    received: int = 0
    lost: int = 0
    open: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fetched(self, size: int, notices: int = 0) -> None:
        """Count one fetching of the figures."""
        with self.lock:
            self.received += size
            self.notices += notices


def _view(url: str, seen: Seen) -> None:
    _get(url)
    seen.fetched(len(_get(f"{url}/live/figures?{_VIEW}")))
    with urllib.request.urlopen(f"{url}/live/events?{_VIEW}", timeout=30) as events:
        seen.open.release()
        for line in events:
            if line.strip() == b"event: figures":
                seen.fetched(len(_get(f"{url}/live/figures?{_VIEW}")), notices=1)


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return bytes(answer.read())


def _kept(url: str, seen: Seen) -> None:
    try:
        _view(url, seen)
    except OSError:
        seen.lost += 1
        seen.open.release()


def look(url: str, count: int) -> None:
    """Run so many viewers until stdin ends; print when all have opened the page, and in the end what they received."""
    seen = Seen()
    for _ in range(count):
        threading.Thread(target=_kept, args=(url, seen), daemon=True).start()
    for _ in range(count):
        seen.open.acquire(timeout=_OPEN_WITHIN)
    print("open", flush=True)
    began, before = time.monotonic(), seen.notices
    sys.stdin.read()
    seconds = time.monotonic() - began
    found = {
        "viewers": count - seen.lost, "notices_a_second_each": round((seen.notices - before) / seconds / count, 2),
        "figures_mb": round(seen.received / 1e6, 3),
    }  # fmt: skip
    print(msgspec.json.encode(found).decode(), flush=True)


@contextmanager
def looked_at(url: str, count: int) -> Iterator[dict[str, object]]:
    """Run `count` viewers while the block runs; the dictionary is filled in afterwards. Raises CannotStart."""
    found: dict[str, object] = {}
    if not count:
        yield found
        return
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "lab.load.viewers", url, str(count)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        if process.stdout.readline().strip() != "open":
            raise CannotStart(f"the viewers could not open {url}")
        yield found
        process.stdin.close()
        found |= msgspec.json.decode(process.stdout.read(), type=dict[str, object])


if __name__ == "__main__":
    look(sys.argv[1], int(sys.argv[2]))
