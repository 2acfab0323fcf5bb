"""
The HTTP door of the gateways: conditional requests, time-outs, retries, and nothing taken for whole that is not.

Each job of a gateway has a `Web` of its own; no other module of `ingest` knows httpx.
"""

import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TypeVar

import httpx
import msgspec
from lxml import etree

from ingest.gateways.memory import Memory
from ingest.vocabulary.backoff import pause
from ingest.vocabulary.readings import BadPayload

T = TypeVar("T")
Params = Mapping[str, str]

ASKED = "asked for"  # the note of when requests were made,
VALIDATORS = "question and validators of"  # and of the last question at a path, and its answer's
CONDITIONS = {"If-None-Match": "ETag", "If-Modified-Since": "Last-Modified"}
FIRST_WAIT, LONGEST_WAIT = 1.0, 300.0  # s between two attempts or two turns
WITHIN_A_TURN = 20.0  # s: who has to wait longer ends the turn, so that the hub can stop
LARGEST = 200_000_000  # bytes of an answer in memory,
LARGEST_FILE = 2_000_000_000  # and in a file: NDW's site table has 340 MB where a host unpacks it on the way
SLOWEST = 4  # times the time-out: so long may a whole answer take


class SourceUnreachable(Exception):  # noqa: N818 - named for what a caller does: try again, in `after` seconds or later
    """
    A source did not answer, or not with what was asked for; the text names the address, and the answer.

    `kind` names a fault that another try may better.
    """

    def __init__(self, text: str, after: float = 0.0, status: int = 0, kind: str = "") -> None:
        super().__init__(text)
        self.after, self.status, self.kind = after, status, kind


class FormChanged(Exception):  # noqa: N818 - what happened is the name
    """A source answered whole, and in another form than the gateway reads."""


class GatewayStopped(Exception):  # noqa: N818 - it is no error: the gateway ends
    """The gateway has to end, in the middle of a wait."""


class Web:
    """
    One source's host; `base` is the beginning of every address, `timeout` the seconds it may send nothing.

    There are at most `pace` requests in a time, also over a restart: `asked` is when the last ones were made. An answer
    is in the file `part` while it is read.
    """

    def __init__(
        self, base: str, pace: tuple[int, timedelta], clock: Callable[[], float], count: Callable[[str, str], None],
        memory: Memory, stop: threading.Event, timeout: float, part: Path,
    ) -> None:  # fmt: skip
        self.base = base.rstrip("/")
        self._count, self._memory, self._clock, self._stop, self._part = count, memory, clock, stop, part
        self._seconds, self._patience = pace[1].total_seconds(), SLOWEST * timeout
        self.asked = deque((at for at in memory.note(ASKED, list[float], []) if at <= clock()), pace[0])
        agent = {"User-Agent": "stadspuls (open data gateway)"}
        self._client = httpx.Client(timeout=timeout, follow_redirects=True, headers=agent)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def ask(
        self, path: str, read: Callable[[Path], T], params: Params | None = None, *, tries: int = 3,
        newer: bool = False,
    ) -> T | None:  # fmt: skip
        """
        Ask, and read the answer; with `newer` None where it is the same as to this question in the last good turn.

        Raises SourceUnreachable also for what came cut off, FormChanged for what is whole and no answer,
        GatewayStopped.
        """
        for attempt in range(1, tries + 1):
            self.wait()
            try:
                return self._once(path, read, params, newer=newer)
            except SourceUnreachable as error:
                if not error.kind:
                    raise
                self._count("requests", error.kind)
                wait = error.after + pause(attempt, FIRST_WAIT, LONGEST_WAIT)
                if attempt == tries or wait > WITHIN_A_TURN:
                    raise SourceUnreachable(f"{self.base}/{path}: {error}", error.after, error.status) from error
                if self._stop.wait(wait):
                    raise GatewayStopped from error
            finally:
                self._part.unlink(missing_ok=True)
        raise AssertionError("a try ends by an answer or an error")

    def can_compare(self, path: str) -> bool:
        """Tell whether the last answer had an ETag or a Last-Modified, so that the next need not be whole."""
        return any(self._memory.note(f"{VALIDATORS} {path}", list[str], [])[1:])

    def wait(self) -> None:
        """Return when one more request is within the pace."""
        due = self.asked[0] + self._seconds - self._clock() if len(self.asked) == self.asked.maxlen else 0.0
        if self._stop.wait(min(self._seconds, max(0.0, due))):
            raise GatewayStopped
        self.asked.append(self._clock())
        self._memory.learn(ASKED, list(self.asked))

    def _once(self, path: str, read: Callable[[Path], T], params: Params | None, *, newer: bool) -> T | None:
        url, note = f"{self.base}/{path}", f"{VALIDATORS} {path}"
        question, *known = self._memory.note(note, list[str], [""])
        headers = {name: value for name, value in zip(CONDITIONS, known, strict=False) if value}
        headers = headers if newer and question == str(params) else {}
        try:
            with self._client.stream("GET", url, params=params, headers=headers) as response:
                if headers and response.status_code == httpx.codes.NOT_MODIFIED:
                    self._count("requests", "not_modified")
                    return None
                _check(response)
                self._take(response)
        except httpx.TimeoutException as error:
            raise SourceUnreachable(f"no answer in time ({type(error).__name__})", kind="timeout") from error
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise SourceUnreachable(f"{error or type(error).__name__}", kind="broken") from error
        except httpx.HTTPError as error:
            raise SourceUnreachable(f"{url}: {error}") from error
        found = self._read(read)
        self._count("requests", "good")
        self._memory.write(note, [str(params), *(response.headers.get(name, "") for name in CONDITIONS.values())])
        return found

    def _read(self, read: Callable[[Path], T]) -> T:
        try:
            return read(self._part)
        except (EOFError, OSError, zlib.error, msgspec.DecodeError, BadPayload) as error:
            if isinstance(error, BadPayload) and not isinstance(error.__cause__, etree.XMLSyntaxError):
                raise FormChanged(f"{error}") from error
            text = f"came cut off, or is no answer: {error or type(error).__name__}"
            raise SourceUnreachable(text, kind="not_whole") from error

    def _take(self, response: httpx.Response) -> None:
        until = time.monotonic() + self._patience
        size = 0
        with self._part.open("wb") as file:
            for chunk in response.iter_bytes():
                file.write(chunk)
                size += len(chunk)
                if self._stop.is_set():
                    raise GatewayStopped
                if time.monotonic() > until:
                    raise SourceUnreachable(f"{size} bytes in {self._patience:.0f} s, and no end", kind="timeout")
                if size > LARGEST_FILE:
                    raise SourceUnreachable(f"{response.url}: more than {LARGEST_FILE} bytes")


def _check(response: httpx.Response) -> None:
    code = response.status_code
    if code >= 400:
        passes = code == httpx.codes.TOO_MANY_REQUESTS or code >= 500
        after = _retry_after(response) if passes else WITHIN_A_TURN
        raise SourceUnreachable(f"status {code}", after, code, f"status_{code}")


def _retry_after(response: httpx.Response) -> float:
    """Give the seconds that a server asks for, by a number or by a date; at most an hour."""
    asked = response.headers.get("Retry-After", "")
    try:
        date = None if asked.isdigit() else parsedate_to_datetime(asked)
        seconds = float(asked) if date is None else (date - datetime.now(UTC)).total_seconds()
    except (TypeError, ValueError):  # neither, or a date without a zone
        return 0.0
    return min(max(0.0, seconds), 3600.0)


def document(path: Path) -> msgspec.Raw:
    """Read JSON, which has to be whole; raises SourceUnreachable where it is too large for the memory."""
    if path.stat().st_size > LARGEST:
        raise SourceUnreachable(f"more than {LARGEST} bytes of JSON")
    return msgspec.json.decode(path.read_bytes(), type=msgspec.Raw)
