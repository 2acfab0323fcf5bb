"""
XML that may be hostile, parsed without resolving anything; whole, or element by element in bounded memory.

`ingest.formats.coded.ndw` reads messages with it, `ingest.files.site_table` and `ingest.files.recordings` files of
hundreds of megabytes.
"""

import gzip
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, cast

from lxml import etree

from ingest.vocabulary.readings import BadPayload
from ingest.vocabulary.values import raised_as

_SAFE: dict[str, Any] = {
    "resolve_entities": False, "no_network": True, "load_dtd": False, "huge_tree": False, "remove_comments": True,
    "remove_pis": True,
}  # fmt: skip
_PARSER = etree.XMLParser(**_SAFE)


def parsed(payload: bytes) -> etree._Element:
    """Parse a document; raises BadPayload for what is no XML, and for any DOCTYPE: bombs and outside files need one."""
    with raised_as(BadPayload, etree.XMLSyntaxError, ValueError, at="not XML"):
        root = etree.fromstring(payload, _PARSER)
    _refuse_doctype(root)
    return root


def records(stream: BinaryIO, *names: str) -> Iterator[etree._Element]:
    """Give every element with one of `names`, in any namespace, and forget it then; raises BadPayload like `parsed`."""
    with raised_as(BadPayload, etree.XMLSyntaxError, at="not XML"):
        walk = etree.iterparse(stream, tag=[f"{{*}}{name}" for name in names], **_SAFE)
        for _, element in walk:
            _refuse_doctype(element)
            yield element
            element.clear()
            parent = element.getparent()
            while parent is not None and element.getprevious() is not None:
                del parent[0]


@lru_cache(maxsize=1024)
def local(tag: str) -> str:
    """Name a tag without its namespace."""
    return tag[tag.rfind("}") + 1 :]


def opened(path: Path) -> BinaryIO:
    """Open a file that may be gzipped, by what it holds and not by its name."""
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
    return cast("BinaryIO", gzip.open(path, "rb")) if zipped else path.open("rb")


def _refuse_doctype(element: etree._Element) -> None:
    if element.getroottree().docinfo.internalDTD is not None:
        raise BadPayload("XML with a DOCTYPE, expected none")
