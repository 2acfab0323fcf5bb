"""The HTTP side as a whole: how it says how the hub is, whatever else is asked of it."""

import json
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from http.client import HTTPConnection
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from hub.web.http import application, listening
from hub.web.metrics import ServiceCollector


def test_health_does_not_wait_for_slow_answers() -> None:
    """While every thread of the API is busy, `/healthz` and `/readyz` answer at once."""
    app = application(ServiceCollector({}), lambda: {"ready": True})
    done, begun = threading.Event(), threading.Semaphore(0)

    @app.get("/slow")
    def slow() -> None:
        begun.release()
        done.wait(120)

    with listening(app, "127.0.0.1", 0) as address, ThreadPoolExecutor(60) as clients:
        try:
            for _ in range(60):
                clients.submit(urlopen, f"{address}/slow", None, 150)
            for _ in range(40):  # as many threads as there are
                assert begun.acquire(timeout=60)
            for path in ("healthz", "readyz"):
                with urlopen(f"{address}/{path}", timeout=60) as answer:
                    assert json.load(answer) == {"ready": True}
        finally:
            done.set()


def test_trouble_is_named() -> None:
    """A hub that is not ready says why, with status 503; `/healthz` says the same with 200."""
    said = {"ready": False, "trouble": ["roll-ups: KeyError: 'x'"]}
    with listening(application(ServiceCollector({}), lambda: said), "127.0.0.1", 0) as address:
        with urlopen(f"{address}/healthz", timeout=60) as answer:
            assert json.load(answer) == said
        with pytest.raises(HTTPError) as caught:
            urlopen(f"{address}/readyz", timeout=60)
        with caught.value as refused:
            assert (refused.code, json.load(refused)) == (503, said)


def test_idle_connections_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many that send half a request some are refused and the others ended; whoever asks then is answered."""
    monkeypatch.setattr("hub.web.http.MOST", 20)
    monkeypatch.setattr("hub.web.http.WHOLE_WITHIN", 1.0)
    with (
        listening(application(ServiceCollector({}), lambda: {"ready": True}), "127.0.0.1", 0) as address,
        ExitStack() as clients,
    ):
        host, port = address.removeprefix("http://").split(":")
        idle = [clients.enter_context(socket.create_connection((host, int(port)), timeout=60)) for _ in range(30)]
        for connection in idle:
            with suppress(ConnectionError):  # it is refused already
                connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n")
        for connection in idle:
            with suppress(ConnectionError):  # reset; one that is left alone ends the test by its time-out
                while connection.recv(1000):
                    pass
        with urlopen(f"{address}/readyz", timeout=60) as answer:
            assert json.load(answer) == {"ready": True}


@pytest.mark.parametrize(("begin", "more"), [
    (b"GET /", b"a"), (b"GET /readyz HTTP/1.1\r\nX: ", b"a"), (b"GET /readyz HTTP/1.1\r\n", b"X: y\r\n"),
])  # fmt: skip
def test_head_without_an_end_is_cut_off(begin: bytes, more: bytes) -> None:
    """A stranger's address or headers of many megabytes are not gathered: the connection ends soon."""
    sent = 0
    with (
        listening(application(ServiceCollector({}), lambda: {"ready": True}), "127.0.0.1", 0) as address,
        socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2])), timeout=60) as stranger,
    ):
        with suppress(ConnectionError):
            stranger.sendall(begin)
            while sent < 100_000_000:
                sent += len(more) * 100_000
                stranger.sendall(more * 100_000)
        assert sent < 50_000_000
        with urlopen(f"{address}/readyz", timeout=60) as answer:
            assert json.load(answer) == {"ready": True}


def test_slow_but_whole_requests_are_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer may take longer than a request, and a connection may be used again."""
    monkeypatch.setattr("hub.web.http.WHOLE_WITHIN", 0.3)
    app = application(ServiceCollector({}), lambda: {"ready": True})

    @app.get("/slow")
    def slow() -> str:
        time.sleep(1)
        return "done"

    with listening(app, "127.0.0.1", 0) as address:
        connection = HTTPConnection(address.removeprefix("http://"), timeout=60)
        for _ in range(2):
            connection.request("GET", "/slow")
            assert connection.getresponse().read() == b'"done"'
        connection.close()
