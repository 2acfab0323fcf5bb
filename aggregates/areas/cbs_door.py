"""
The HTTP door to CBS and PDOK: boundaries and "Kerncijfers wijken en buurten", paged, retried, and cached on disk.

Its answers are documents, as files are, for `aggregates.areas.inputs`; no other module of this package knows httpx.
"""

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, count
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import msgspec

from aggregates.areas.inputs import Document
from aggregates.areas.measures import TABLES
from ingest.vocabulary.backoff import pause

CBS = "https://datasets.cbs.nl/odata/v1/CBS"
PDOK = "https://service.pdok.nl/cbs/wijkenbuurten"
LAYERS = ("buurten", "wijken", "gemeenten")
PAGE = 1000  # features: PDOK's own limit
PATIENCE = 60.0  # s for one page
FIRST_WAIT, LONGEST_WAIT = 0.1, 10.0  # s between two attempts


class Unreachable(Exception):  # noqa: N818 - named for what a caller does: load from files, or try again later
    """CBS or PDOK did not answer, or not with what was asked for: the text has the address and the answer."""


class Cbs:
    """
    Its documents; `cache` is a directory where every whole answer is kept, `refresh` asks anew all the same.

    `on_page` is called for each page. Raises Unreachable.
    """

    def __init__(
        self, cache: Path, *, refresh: bool = False, cbs: str = CBS, pdok: str = PDOK, tries: int = 4,
        patience: float = PATIENCE,
    ) -> None:  # fmt: skip
        self.on_page: Callable[[], object] = lambda: None
        self._cache, self._refresh, self._tries = cache, refresh, tries
        self._cbs, self._pdok = cbs, pdok
        self._how: dict[str, Any] = {"timeout": patience, "headers": {"Accept": "application/json"}}

    def statistics(self, vintage: int, municipalities: Sequence[str]) -> list[Document]:
        """Fetch a vintage's table with its metadata, by OData 4."""
        table = TABLES.get(vintage)
        if table is None:
            raise Unreachable(f"no table known of vintage {vintage}, expected {min(TABLES)} to {max(TABLES)}")
        asked = ["Properties", "MeasureCodes", "WijkenEnBuurtenCodes"]
        asked += [f"Observations?$filter={_filter(municipality)}" for municipality in municipalities]
        return [page for one in asked for page in self._pages(table, f"{self._cbs}/{table}/{one}")]

    def boundaries(self, vintage: int, municipalities: Sequence[str]) -> list[Document]:
        """Fetch buurten, wijken and gemeenten, in RD."""
        layers = (self._features(vintage, layer, one) for layer in LAYERS for one in municipalities)
        return list(chain.from_iterable(layers))

    def _pages(self, table: str, url: str | None) -> Iterator[Document]:
        while url:
            answer = self._json(url)
            # An answer without rows has no content by which its kind could be recognised.
            if answer.get("value", [answer]):
                yield Document(f"{table} {url}", msgspec.json.encode(answer))
            url = answer.get("@odata.nextLink")

    def _features(self, vintage: int, layer: str, municipality: str) -> Iterator[Document]:
        """
        Yield the pages of one layer.

        PDOK ignores a CQL_FILTER, so this asks with an OGC filter; `aggregates.areas.inputs` drops the areas of other
        municipalities all the same.
        """
        title = f"wijkenbuurten {vintage} {layer} (PDOK)"
        for at in count(0, PAGE):
            answer = self._json(_wfs(f"{self._pdok}/{vintage}/wfs/v1_0", layer, municipality, at))
            if (features := answer.get("features")) is None:
                raise Unreachable(f"{self._pdok}/{vintage}: answered {list(answer)[:5]}, expected features")
            if features:
                yield Document(title, msgspec.json.encode({**answer, "name": title}))
            if len(features) < PAGE:
                return

    def _json(self, url: str) -> dict[str, Any]:
        """Return an answer from the cache or the net; only whole JSON is kept."""
        kept = self._cache / f"{hashlib.sha256(url.encode()).hexdigest()[:24]}.json"
        if self._refresh or not kept.exists():
            found = self._fetched(url)
            self._cache.mkdir(parents=True, exist_ok=True)
            part = kept.with_suffix(f".{os.getpid()}")
            part.write_bytes(found)
            part.replace(kept)
        self.on_page()
        return msgspec.json.decode(kept.read_bytes(), type=dict[str, Any])

    def _fetched(self, url: str) -> bytes:
        """Ask until a whole answer comes; a refusal, but for "too many requests", is final."""
        trouble = ""
        for failures in range(self._tries):
            if failures:
                time.sleep(pause(failures, FIRST_WAIT, LONGEST_WAIT))
            try:
                response = httpx.get(url, follow_redirects=True, **self._how)
                if response.is_success:
                    msgspec.json.decode(response.content, type=dict)
                    return response.content
                trouble = f"status {response.status_code}"
                if response.is_client_error and response.status_code != httpx.codes.TOO_MANY_REQUESTS:
                    break
            except msgspec.DecodeError:
                trouble = f"{len(response.content)} bytes that are not a whole JSON object"
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                trouble = str(error) or type(error).__name__
                if not isinstance(error, httpx.TransportError):
                    break
        raise Unreachable(f"{url.partition('?')[0]}: {trouble}")


def _filter(municipality: str) -> str:
    parts = (f"startswith(WijkenEnBuurten,'{level}{municipality[2:]}')" for level in ("GM", "WK", "BU"))
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
