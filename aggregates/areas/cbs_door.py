"""
The HTTP door to CBS and PDOK: boundaries and "Kerncijfers wijken en buurten", paged, retried, and cached on disk.

Its answers are documents, as files are, for `aggregates.areas.inputs`; no other module of this package knows httpx.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import httpx

from aggregates.areas.inputs import Document
from aggregates.areas.measures import TABLES
from ingest.vocabulary.backoff import pause

V4 = "https://datasets.cbs.nl/odata/v1/CBS"
V3 = "https://opendata.cbs.nl/ODataFeed/odata"
PDOK = "https://service.pdok.nl/cbs/wijkenbuurten"
LAYERS = ("buurten", "wijken", "gemeenten")
PAGE = 1000  # features: PDOK's own limit
PATIENCE = 60.0  # s for one page
FIRST_WAIT, LONGEST_WAIT = 0.1, 10.0  # s between two attempts


class Unreachable(Exception):  # noqa: N818 - named for what a caller does: load from files, or try again later
    """CBS or PDOK did not answer, or not with what was asked for: the text has the address and the answer."""


class _Again(Exception):  # noqa: N818 - an answer that another try may better
    pass


class Cbs:
    """
    One session; `cache` is a directory where every whole answer is kept, `refresh` asks anew all the same.

    `on_page` is called for each page. Raises Unreachable.
    """

    def __init__(
        self, cache: Path, *, refresh: bool = False, v4: str = V4, v3: str = V3, pdok: str = PDOK, tries: int = 4,
        patience: float = PATIENCE,
    ) -> None:  # fmt: skip
        self.on_page: Callable[[], object] = lambda: None
        self._cache, self._refresh, self._tries = cache, refresh, tries
        self._v4, self._v3, self._pdok = v4, v3, pdok
        self._client = httpx.Client(timeout=patience, follow_redirects=True, headers={"Accept": "application/json"})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def statistics(self, vintage: int, municipalities: Sequence[str]) -> list[Document]:
        """Fetch a vintage's table with its metadata, by OData 4, or by OData 3 where that does not answer."""
        table = TABLES.get(vintage)
        if table is None:
            raise Unreachable(f"no table known of vintage {vintage}, expected {min(TABLES)} to {max(TABLES)}")
        try:
            return list(self._version_4(table, municipalities))
        except Unreachable as first:
            try:
                return list(self._version_3(table, municipalities))
            except Unreachable as second:
                raise Unreachable(f"{first}; and by OData 3: {second}") from second

    def boundaries(self, vintage: int, municipalities: Sequence[str]) -> list[Document]:
        """Fetch buurten, wijken and gemeenten, in RD."""
        return [
            document
            for layer in LAYERS
            for municipality in municipalities
            for document in self._features(vintage, layer, municipality)
        ]

    def _version_4(self, table: str, municipalities: Sequence[str]) -> Iterator[Document]:
        base = f"{self._v4}/{table}"
        for name in ("Properties", "MeasureCodes", "WijkenEnBuurtenCodes"):
            yield from self._pages(table, f"{base}/{name}")
        for municipality in municipalities:
            yield from self._pages(table, f"{base}/Observations?$filter={_filter(municipality)}")

    def _version_3(self, table: str, municipalities: Sequence[str]) -> Iterator[Document]:
        base = f"{self._v3}/{table}"
        for name in ("TableInfos", "DataProperties", "WijkenEnBuurten"):
            yield from self._pages(table, f"{base}/{name}?$format=json")
        for municipality in municipalities:
            yield from self._pages(table, f"{base}/TypedDataSet?$format=json&$filter={_filter(municipality)}")

    def _pages(self, table: str, url: str | None) -> Iterator[Document]:
        while url:
            answer = self._json(url)
            rows = answer.get("value", [answer])
            # An answer without rows has no content by which its kind could be recognised.
            if rows:
                yield Document(f"{table} {url}", json.dumps(answer).encode())
            url = answer.get("@odata.nextLink") or answer.get("odata.nextLink")

    def _features(self, vintage: int, layer: str, municipality: str) -> Iterator[Document]:
        """
        Yield the pages of one layer.

        PDOK ignores a CQL_FILTER, so this asks with an OGC filter; `aggregates.areas.inputs` drops the areas of other
        municipalities all the same.
        """
        at = 0
        while True:
            answer = self._json(_wfs(f"{self._pdok}/{vintage}/wfs/v1_0", layer, municipality, at))
            features = answer.get("features")
            if features is None:
                raise Unreachable(f"{self._pdok}/{vintage}: answered {list(answer)[:5]}, expected features")
            if features:
                title = f"wijkenbuurten {vintage} {layer} (PDOK)"
                yield Document(title, json.dumps({**answer, "name": title}).encode())
            if len(features) < PAGE:
                return
            at += PAGE

    def _json(self, url: str) -> dict[str, Any]:
        """Return an answer from the cache or the net; only whole JSON is kept."""
        kept = self._cache / f"{hashlib.sha256(url.encode()).hexdigest()[:24]}.json"
        if not self._refresh and kept.exists():
            found: dict[str, Any] = json.loads(kept.read_bytes())
        else:
            found = self._fetched(url)
            self._cache.mkdir(parents=True, exist_ok=True)
            part = kept.with_suffix(f".{os.getpid()}")
            part.write_text(json.dumps(found), encoding="utf-8")
            part.replace(kept)
        self.on_page()
        return found

    def _fetched(self, url: str) -> dict[str, Any]:
        for failures in range(1, self._tries + 1):
            try:
                return _answer(self._client.get(url))
            except (_Again, httpx.HTTPError, httpx.InvalidURL) as error:
                if failures == self._tries or not isinstance(error, _Again | httpx.TransportError):
                    raise Unreachable(f"{url.partition('?')[0]}: {error or type(error).__name__}") from error
            time.sleep(pause(failures, FIRST_WAIT, LONGEST_WAIT))
        raise AssertionError("the last attempt ends by an answer or an error")


def _answer(response: httpx.Response) -> dict[str, Any]:
    if response.status_code == 429 or response.status_code >= 500:
        raise _Again(f"status {response.status_code}")
    if response.status_code >= 400:
        raise Unreachable(f"{str(response.url).partition('?')[0]}: status {response.status_code}")
    try:
        found = response.json()
    except ValueError as error:
        raise _Again(f"{len(response.content)} bytes that are not whole JSON") from error
    if not isinstance(found, dict):
        raise _Again(f"JSON that is a {type(found).__name__}, expected an object")
    return found


def _filter(municipality: str) -> str:
    number = municipality[2:]
    parts: Iterable[str] = (f"startswith(WijkenEnBuurten,'{level}{number}')" for level in ("GM", "WK", "BU"))
    return quote(" or ".join(parts), safe="(),'")


def _wfs(base: str, layer: str, municipality: str, at: int) -> str:
    wanted = (
        '<Filter xmlns="http://www.opengis.net/fes/2.0"><PropertyIsEqualTo><ValueReference>gemeentecode</ValueReference>'
        f"<Literal>{municipality}</Literal></PropertyIsEqualTo></Filter>"
    )
    return (
        f"{base}?service=WFS&version=2.0.0&request=GetFeature&typeNames=wijkenbuurten:{layer}&srsName=EPSG:28992"
        f"&outputFormat=application/json&count={PAGE}&startIndex={at}&filter={quote(wanted, safe='')}"
    )
