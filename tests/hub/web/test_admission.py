"""What is refused before anything is answered: foreign names, pages of other sites, bodies without an end."""

import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from hub.settings.layers import BadSettings, load
from hub.web.admission import LARGEST_BODY, Access
from tests.support.apis import served, serving

NOWHERE = "postgresql://nobody@127.0.0.1:1/none"


@pytest.fixture(scope="module")
def page() -> Iterator[str]:
    """The address of a hub on its own machine, without a token."""
    with served(serving(NOWHERE)) as url:
        yield url


def status(url: str, **headers: str) -> int:
    """Ask with headers, and give the status of the answer."""
    return httpx.get(url, headers=headers).status_code


def test_name_that_is_not_the_hubs_is_refused(page: str) -> None:
    """DNS rebinding brings its own name; those of this machine, with any port, are the hub's."""
    for path in ("/", "/healthz", "/api/v1/openapi.json", "/live/places"):
        answer = httpx.get(page + path, headers={"Host": "rebound.example:8080"})
        assert (answer.status_code, "http_hosts" in answer.text) == (421, True), path
    for host in ("localhost:8080", "127.0.0.1", "[::1]:8080", "LOCALHOST"):
        assert status(f"{page}/healthz", Host=host) == 200, host
    for host in ("", "localhost.example", "127.0.0.1.example", "[::1"):
        assert status(f"{page}/healthz", Host=host) == 421, host


def test_length_with_many_digits(page: str) -> None:
    """A length that `int` does not read is a length all the same; what is too long for the parser is refused by it."""
    for digits, expected in (("0" * 5_000, 200), ("0" * 5_000 + "99999999", 413), ("9" * 5_000, 400)):
        with socket.create_connection((urlsplit(page).hostname, urlsplit(page).port), timeout=60) as stranger:
            stranger.sendall(f"GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: {digits}\r\n\r\n".encode())
            assert stranger.recv(12) == f"HTTP/1.1 {expected}".encode()


def test_names_are_a_setting() -> None:
    """Named hosts are taken and no other; with a token, and no names set, any name will do."""
    named = serving(NOWHERE, http_hosts="hub.example")
    with served(named) as url:
        assert status(f"{url}/healthz", Host="hub.example") == 200
        assert status(f"{url}/healthz", Host="other.example") == 421
    with served(serving(NOWHERE, api_token="sesame")) as url:
        assert status(f"{url}/healthz", Host="hub.example") == 200
    settings = load({"http_hosts": "hub.example, Hub.City.example"})
    assert Access.of(settings).hosts == ("hub.example", "hub.city.example")


def test_page_of_another_site_neither_acts_through_the_live_page_nor_reads_it(page: str) -> None:
    """The live page acts without a token on the hub's own machine: only pages of this hub may do as it does."""
    silence = {"rule": "*", "to": "2099-01-01T00:00:00Z", "by": "Eve", "reason": "none"}
    for origin in ("http://evil.example", "null", "http://127.0.0.1:1", "http://["):
        said = {"Origin": origin}
        assert httpx.post(f"{page}/live/alerts/1/ack", json={"by": "Eve"}, headers=said).status_code == 403
        assert httpx.post(f"{page}/live/alerts/silences", json=silence, headers=said).status_code == 403
        assert status(f"{page}/live/events?quantity=no2&lens=1h", **said) == 403
    for said in ({"Origin": page}, {}):
        assert httpx.post(f"{page}/live/alerts/1/ack", json={"by": "Anna"}, headers=said).status_code == 503


def test_public_page_changes_nothing() -> None:
    """Not even on the hub's own machine: who may read is everyone."""
    with served(serving(NOWHERE, public=True)) as url:
        assert httpx.post(f"{url}/live/alerts/1/ack", json={"by": "Anna"}).status_code == 404


def test_websocket_is_no_way_in(page: str) -> None:
    """The hub speaks no websocket: who asks for one is answered as anybody else."""
    asked = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "x" * 24,
    }
    assert status(f"{page}/live/none", **asked) == 400
    assert status(f"{page}/live/none", **asked, Host="rebound.example") == 421


def test_page_of_another_site_changes_nothing() -> None:
    """Not even with a token, which a browser keeps: a browser says which page asks."""
    token = {"Authorization": "Bearer sesame"}
    with served(serving(NOWHERE, api_token="sesame", http_hosts="hub.example")) as url:
        for origin, expected in (("https://evil.example", 403), ("https://hub.example", 503), (url, 503)):
            answer = httpx.post(
                f"{url}/api/v1/alerts/1/ack", json={"by": "Anna"}, headers={**token, "Origin": origin}
            )  # fmt: skip
            assert answer.status_code == expected, origin


def test_no_page_of_another_site_frames_the_live_page(page: str) -> None:
    """Nobody is led to click on a button of the page without seeing it."""
    assert httpx.get(page, timeout=30).headers["content-security-policy"] == "frame-ancestors 'none'"


def test_frame_reads_the_map_of_one_quantity_and_nothing_else() -> None:
    """Where a page elsewhere shows that map its key goes before the token; no frame is told it, its secret ends it."""
    secret = {"api_token": "sesame", "frame_secret": "0123456789abcdef", "frame_ancestors": "https://city.example"}
    no2, pm10 = map(Access.of(load(secret)).frame_key, ("no2", "pm10"))
    with served(serving(NOWHERE, **secret)) as url:
        framed = f"{url}/read/no2/{no2}"
        shown = httpx.get(f"{framed}/?quantity=no2&embed=1", timeout=30)
        assert (shown.status_code, shown.headers["Referrer-Policy"]) == (200, "no-referrer")
        assert shown.headers["Content-Security-Policy"] == "frame-ancestors https://city.example"
        assert no2 not in shown.text
        assert no2 in httpx.get(url, headers={"Authorization": "Bearer sesame"}, timeout=30).text
        assert status(url) == 401
        assert status(f"{framed}/live/figures?quantity=no2&lens=1h") == 503  # it is let in; the database is away
        for path in (
            "?quantity=pm10", "live/figures?quantity=no2&lens=1h&quantity=pm10", "live/sensor?id=a&quantity=no2",
            "live/findings", "health", "metrics", "docs", "api/v1/sensors", "api/v1/dead-letters", f"read/no2/{no2}/",
        ):  # fmt: skip
            assert status(f"{framed}/{path}") == 403, path
        for wrong in (f"no2/{pm10}", "no2/sesame", f"no2/{no2}0", f"no2/{no2[:-1]}", f"NO2/{no2}", "no2/%C3%A9"):
            assert status(f"{url}/read/{wrong}/") == 403, wrong
        for method, path in (("POST", "live/alerts/1/ack"), ("DELETE", "live/alerts/silences/1"), ("POST", "")):
            assert httpx.request(method, f"{framed}/{path}", json={"by": "Eve"}).status_code == 403, path
        assert status(f"{framed}/", Origin="https://evil.example") == 403
        assert status(f"{framed}/", Origin="null") == 200  # of a frame with the attribute sandbox
        assert httpx.post(f"{framed}/", headers={"Origin": "null"}, timeout=30).status_code == 403
        assert status(url, Origin="null") == 403
    for more in ({"frame_secret": "fedcba9876543210"}, {"frame_secret": None}):
        with served(serving(NOWHERE, **secret | more)) as url:
            assert status(f"{url}/read/no2/{no2}/") == 403, more


def test_frame_secret_is_long() -> None:
    """Whoever has a key must not find out its secret by trying."""
    with pytest.raises(BadSettings, match="frame_secret"):
        load({"frame_secret": "short"})


def test_token_is_checked_before_the_body_is_read() -> None:
    """Who has no token is answered while the body is still on its way."""
    with served(serving(NOWHERE, api_token="sesame", public=True)) as url:
        address = urlsplit(url)
        with socket.create_connection((address.hostname, address.port), timeout=10) as asking:
            head = f"POST /api/v1/alerts/1/ack HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Length: 1000\r\n\r\n{{"
            asking.sendall(head.encode())
            assert asking.recv(12) == b"HTTP/1.1 401"


def test_body_is_bounded(page: str) -> None:
    """Not even who has the token sends more than some kB, nor anybody through the page's own way."""
    with served(serving(NOWHERE, api_token="sesame")) as url:
        for body, expected in ((b" " * (LARGEST_BODY + 1), 413), (iter([b" "]), 413), (b" " * 1000, 400)):
            answer = httpx.post(f"{url}/api/v1/alerts/1/ack", content=body, headers={"Authorization": "Bearer sesame"})
            assert answer.status_code == expected
    polled = httpx.post(f"{page}/live/alerts/1/ack", content=b"x" * (LARGEST_BODY + 1))
    assert polled.status_code == 413
