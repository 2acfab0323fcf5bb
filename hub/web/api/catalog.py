"""
The catalogue of a hub as DCAT-AP-NL 3, in JSON-LD and Turtle: a dataset of each source, vintage of areas and release.

`catalog.json.j2` says what it holds; `catalog.ttl.j2` writes the same tree as Turtle.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from aggregates.export.areas import LICENCES, supplier
from aggregates.store.store import Store
from ingest.vocabulary.quantities import QUANTITIES

MEDIA = {"json": "application/ld+json", "turtle": "text/turtle"}
_TEXTS = Environment(loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, trim_blocks=True)
_TEXTS.policies["json.dumps_kwargs"] = {"ensure_ascii": False}  # other escapes than Turtle has
Node = dict[str, Any]


def catalog(store: Store, hub: str) -> Node:
    """Describe what a hub has, whose API is at an address."""
    rows = {"datasets": store.rows("list_datasets"), "releases": store.rows("list_release_datasets")}
    text = _TEXTS.get_template("catalog.json.j2").render(rows, hub=hub, supplier=supplier, theme=_theme, terms=_terms)
    found: Node = json.loads(text)
    return found


def turtle(tree: Node) -> str:
    """Write a tree as Turtle."""
    return _TEXTS.get_template("catalog.ttl.j2").render(tree=tree)


def _theme(words: Sequence[str]) -> str:
    """Name the theme of quantities: air where one of them is."""
    return "ENVI" if any(one in QUANTITIES and QUANTITIES[one].zone for one in words) else "TRAN"


def _terms(licence: str) -> str | None:
    """Give the address of a licence, where it has one."""
    return next((address for name, address in LICENCES.items() if licence.startswith(name)), None)
