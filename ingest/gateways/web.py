"""
The HTTP door of the gateways: conditional requests, time-outs, retries, and nothing taken for whole that is not.

Each job of a gateway has a `Web` of its own; no other module of `ingest` knows httpx.
"""

import io
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, BinaryIO, NamedTuple, TypeVar

import httpx
import msgspec

from ingest.gateways.memory import Memory
from ingest.vocabulary.backoff import pause

T = TypeVar("T")
Params = Mapping[str, str | int]

ASKED = "asked for"  # the note of when requests were made,
VALIDATORS = "validators of"  # and of ETag and Last-Modified of an answer, by its path
TRIES = 3
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


class _Request(NamedTuple):
    path: str
    read: Callable[[BinaryIO], Any]
    into: BinaryIO
    largest: int
    params: Params | None = None
    conditional: bool | None = None  # False: whole, and only a newer one the next time
    tries: int = TRIES


class Web:
    """
    One source's host; `base` is the beginning of every address, `timeout` the seconds it may send nothing.

    There are at most `pace` requests in so many seconds, also over a restart: `asked` is when the last ones were made.
    """

    def __init__(
        self, base: str, pace: tuple[int, float], clock: Callable[[], float], count: Callable[[str, str], None],
        memory: Memory, stop: threading.Event, timeout: float,
    ) -> None:  # fmt: skip
        self.base = base.rstrip("/")
        self._count, self._memory, self._clock, self._stop = count, memory, clock, stop
        (most, self._seconds), self._patience = pace, SLOWEST * timeout
        self.asked = deque((at for at in memory.note(ASKED, list[float], []) if at <= clock()), most)
        agent = {"User-Agent": "stadspuls (open data gateway)"}
        self._client = httpx.Client(timeout=timeout, follow_redirects=True, headers=agent)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def json(self, path: str, kind: type[T], params: Params | None = None, *, tries: int = TRIES) -> T:
        """Ask for JSON; raises SourceUnreachable, FormChanged where it is of another kind, GatewayStopped."""
        found: T = self._tried(_Request(path, _decoder(kind), io.BytesIO(), LARGEST, params, tries=tries))
        return found

    def news(self, path: str, kind: type[T]) -> T | None:
        """Ask for JSON that is newer than what was asked for in the last good turn; None where there is none."""
        found: T | None = self._tried(_Request(path, _decoder(kind), io.BytesIO(), LARGEST, conditional=True))
        return found

    def download(self, path: str, into: BinaryIO, *, conditional: bool = True) -> bool:
        """Write an answer to a file; False where it is not newer than in the last good turn."""
        request = _Request(path, lambda file: True, into, LARGEST_FILE, conditional=conditional)
        return self._tried(request) is not None

    def can_compare(self, path: str) -> bool:
        """Tell whether the last answer had an ETag or a Last-Modified, so that the next need not be whole."""
        return any(self._memory.note(f"{VALIDATORS} {path}", list[str], []))

    def wait(self) -> None:
        """Return when one more request is within the pace."""
        due = self.asked[0] + self._seconds - self._clock() if len(self.asked) == self.asked.maxlen else 0.0
        if self._stop.wait(min(self._seconds, max(0.0, due))):
            raise GatewayStopped
        self.asked.append(self._clock())
        self._memory.learn(ASKED, list(self.asked))

    def _tried(self, request: _Request) -> Any:
        for attempt in range(1, request.tries + 1):
            self.wait()
            try:
                return self._once(request)
            except SourceUnreachable as error:
                if not error.kind:
                    raise
                self._count("requests", error.kind)
                wait = error.after + pause(attempt, FIRST_WAIT, LONGEST_WAIT)
                if attempt == request.tries or wait > WITHIN_A_TURN:
                    text = f"{self.base}/{request.path}: {error}"
                    raise SourceUnreachable(text, error.after, error.status) from error
                if self._stop.wait(wait):
                    raise GatewayStopped from error
        raise AssertionError("a try ends by an answer or an error")

    def _once(self, request: _Request) -> Any:
        request.into.seek(0)
        request.into.truncate()
        url, headers = f"{self.base}/{request.path}", self._condition(request)
        try:
            with self._client.stream("GET", url, params=request.params, headers=headers) as response:
                if request.conditional and response.status_code == httpx.codes.NOT_MODIFIED:
                    self._count("requests", "not_modified")
                    return None
                _check(response)
                self._take(response, request)
        except httpx.TimeoutException as error:
            raise SourceUnreachable(f"no answer in time ({type(error).__name__})", kind="timeout") from error
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise SourceUnreachable(f"{error or type(error).__name__}", kind="broken") from error
        except httpx.HTTPError as error:
            raise SourceUnreachable(f"{url}: {error}") from error
        request.into.seek(0)
        found = request.read(request.into)
        self._count("requests", "good")
        if request.conditional is not None:
            validators = [response.headers.get(name, "") for name in ("ETag", "Last-Modified")]
            self._memory.write(f"{VALIDATORS} {request.path}", validators)
        return found

    def _condition(self, request: _Request) -> dict[str, str]:
        known = self._memory.note(f"{VALIDATORS} {request.path}", list[str], []) if request.conditional else []
        headers = dict(zip(("If-None-Match", "If-Modified-Since"), known, strict=False))
        return {name: value for name, value in headers.items() if value}

    def _take(self, response: httpx.Response, request: _Request) -> None:
        until = time.monotonic() + self._patience
        size = 0
        for chunk in response.iter_bytes():
            request.into.write(chunk)
            size += len(chunk)
            if self._stop.is_set():
                raise GatewayStopped
            if time.monotonic() > until:
                raise SourceUnreachable(f"{size} bytes in {self._patience:.0f} s, and no end", kind="timeout")
            if size > request.largest:
                raise SourceUnreachable(f"{response.url}: more than {request.largest} bytes")


def _check(response: httpx.Response) -> None:
    code = response.status_code
    if code >= 400:
        passes = code == httpx.codes.TOO_MANY_REQUESTS or code >= 500
        after = _retry_after(response) if passes else WITHIN_A_TURN
        raise SourceUnreachable(f"status {code}", after, code, f"status_{code}")


def _retry_after(response: httpx.Response) -> float:
    """Give the seconds that a server asks for, by a number or by a date; at most an hour."""
    asked = response.headers.get("Retry-After", "")
    if asked.isdigit():
        return min(float(asked), 3600.0)
    try:
        moment = parsedate_to_datetime(asked)
    except ValueError:
        return 0.0
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return min(max(0.0, (moment - datetime.now(UTC)).total_seconds()), 3600.0)


def _decoder(kind: type[T]) -> Callable[[BinaryIO], T]:
    def decoded(file: BinaryIO) -> T:
        text = file.read()
        try:
            return msgspec.json.decode(text, type=kind)
        except msgspec.ValidationError as error:
            raise FormChanged(f"{error}, in an answer of {len(text)} bytes") from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise SourceUnreachable(f"{len(text)} bytes that are not whole JSON", kind="not_whole") from error

    return decoded
