"""The HTTP side as a whole: how it says how the hub is, whatever else is asked of it."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from hub.web.http import HttpServer, application
from hub.web.metrics import ServiceCollector


def test_health_does_not_wait_for_slow_answers() -> None:
    """While every thread of the API is busy, `/healthz` and `/readyz` answer at once."""
    app = application(ServiceCollector({}), lambda: {"ready": True})
    done, begun = threading.Event(), threading.Semaphore(0)

    @app.get("/slow")
    def slow() -> None:
        begun.release()
        done.wait(30)

    with HttpServer(app, "127.0.0.1", 0) as server, ThreadPoolExecutor(60) as clients:
        try:
            for _ in range(60):
                clients.submit(urlopen, f"{server.url}/slow", None, 40)
            for _ in range(40):  # as many threads as there are
                assert begun.acquire(timeout=20)
            began = time.monotonic()
            for path in ("healthz", "readyz"):
                with urlopen(f"{server.url}/{path}", timeout=5) as answer:
                    assert json.load(answer) == {"ready": True}
            assert time.monotonic() - began < 5
        finally:
            done.set()


def test_trouble_is_named() -> None:
    """A hub that is not ready says why, with status 503; `/healthz` says the same with 200."""
    said = {"ready": False, "trouble": ["roll-ups: KeyError: 'x'"]}
    with HttpServer(application(ServiceCollector({}), lambda: said), "127.0.0.1", 0) as server:
        with urlopen(f"{server.url}/healthz", timeout=5) as answer:
            assert json.load(answer) == said
        with pytest.raises(HTTPError) as caught:
            urlopen(f"{server.url}/readyz", timeout=5)
        with caught.value as refused:
            assert (refused.code, json.load(refused)) == (503, said)
