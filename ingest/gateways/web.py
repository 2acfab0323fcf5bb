"""
The HTTP door of the gateways: conditional requests, time-outs, retries, and nothing taken for whole that is not.

Each job of a gateway has a `Web` of its own; no other module of `ingest` knows httpx.
"""

import io
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import BinaryIO, NamedTuple, TypeVar

import httpx
import msgspec

from ingest.gateways.counts import Counts
from ingest.gateways.memory import Memory
from ingest.gateways.pace import GatewayStopped, Pace
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
    """A source did not answer, or not with what was asked for; the text names the address, and the answer."""

    def __init__(self, text: str, after: float = 0.0, status: int = 0) -> None:
        super().__init__(text)
        self.after, self.status = after, status


class FormChanged(Exception):  # noqa: N818 - what happened is the name
    """A source answered whole, and in another form than the gateway reads."""


class _Again(Exception):  # noqa: N818 - an answer that another try may better
    def __init__(self, kind: str, text: str, asked: float = 0.0, status: int = 0) -> None:
        super().__init__(text)
        self.kind, self.asked, self.status = kind, asked, status


class _Request(NamedTuple):
    path: str
    params: Params | None = None
    conditional: bool = False
    tries: int = TRIES
    on_disk: bool = False


class Web:
    """One source's host; `base` is the beginning of every address, `timeout` the seconds it may send nothing."""

    def __init__(
        self, base: str, counts: Counts, memory: Memory, pace: Pace, stop: threading.Event, timeout: float
    ) -> None:  # fmt: skip
        self.base = base.rstrip("/")
        self._counts, self._memory, self._pace, self._stop = counts, memory, pace, stop
        self._patience = SLOWEST * timeout
        agent = {"User-Agent": "stadspuls (open data gateway)"}
        self._client = httpx.Client(timeout=timeout, follow_redirects=True, headers=agent)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def json(self, path: str, kind: type[T], params: Params | None = None, *, tries: int = TRIES) -> T:
        """Ask for JSON; raises SourceUnreachable, FormChanged where it is of another kind, GatewayStopped."""
        found = self._tried(_Request(path, params, tries=tries), lambda file: _decoded(file, kind), io.BytesIO())
        if found is None:
            raise SourceUnreachable(f"{self.base}/{path}: not modified, to a request without a condition")
        return found

    def news(self, path: str, kind: type[T]) -> T | None:
        """Ask for JSON that is newer than what was asked for in the last good turn; None where there is none."""
        return self._tried(_Request(path, conditional=True), lambda file: _decoded(file, kind), io.BytesIO())

    def download(self, path: str, into: BinaryIO, *, conditional: bool = True) -> bool:
        """Write an answer to a file; False where it is not newer than in the last good turn."""
        request = _Request(path, conditional=conditional, on_disk=True)
        return self._tried(request, lambda file: True, into) is not None

    def _tried(self, request: "_Request", read: Callable[[BinaryIO], T], into: BinaryIO) -> T | None:
        url = f"{self.base}/{request.path}"
        for attempt in range(1, request.tries + 1):
            self._pace.wait(self._stop)
            self._memory.learn(ASKED, self._pace.asked)
            try:
                return self._once(url, request, read, into)
            except _Again as again:
                self._counts.add("requests", again.kind)
                wait = again.asked + pause(attempt, FIRST_WAIT, LONGEST_WAIT)
                if attempt == request.tries or wait > WITHIN_A_TURN:
                    raise SourceUnreachable(f"{url}: {again}", again.asked, again.status) from again
                if self._stop.wait(wait):
                    raise GatewayStopped from again
        raise AssertionError("a try ends by an answer or an error")

    def _once(self, url: str, request: "_Request", read: Callable[[BinaryIO], T], into: BinaryIO) -> T | None:
        into.seek(0)
        into.truncate()
        try:
            with self._client.stream("GET", url, params=request.params, headers=self._condition(request)) as response:
                if response.status_code == httpx.codes.NOT_MODIFIED:
                    self._counts.add("requests", "not_modified")
                    return None
                _check(response)
                self._take(response, into, LARGEST_FILE if request.on_disk else LARGEST)
        except httpx.TimeoutException as error:
            raise _Again("timeout", f"no answer in time ({type(error).__name__})") from error
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise _Again("broken", f"{error or type(error).__name__}") from error
        except httpx.HTTPError as error:
            raise SourceUnreachable(f"{url}: {error}") from error
        into.seek(0)
        found = read(into)
        self._counts.add("requests", "good")
        if request.conditional:
            validators = (response.headers.get("ETag", ""), response.headers.get("Last-Modified", ""))
            self._memory.write(f"{VALIDATORS} {request.path}", validators)
        return found

    def _condition(self, request: "_Request") -> dict[str, str]:
        if not request.conditional:
            return {}
        tag, modified = self._memory.note(f"{VALIDATORS} {request.path}", tuple[str, str], ("", ""))
        headers = {"If-None-Match": tag, "If-Modified-Since": modified}
        return {name: value for name, value in headers.items() if value}

    def _take(self, response: httpx.Response, into: BinaryIO, largest: int) -> None:
        until = time.monotonic() + self._patience
        size = 0
        for chunk in response.iter_bytes():
            into.write(chunk)
            size += len(chunk)
            if self._stop.is_set():
                raise GatewayStopped
            if time.monotonic() > until:
                raise _Again("timeout", f"{size} bytes in {self._patience:.0f} s, and no end")
            if size > largest:
                raise SourceUnreachable(f"{response.url}: more than {largest} bytes")


def _check(response: httpx.Response) -> None:
    code = response.status_code
    if code == httpx.codes.TOO_MANY_REQUESTS or code >= 500:
        raise _Again(f"status_{code}", f"status {code}", _retry_after(response), code)
    if code >= 400:
        raise _Again(f"status_{code}", f"status {code}", WITHIN_A_TURN, code)


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


def _decoded(file: BinaryIO, kind: type[T]) -> T:
    text = file.read()
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.ValidationError as error:
        raise FormChanged(f"{error}, in an answer of {len(text)} bytes") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _Again("not_whole", f"{len(text)} bytes that are not whole JSON") from error
