"""
The catalogue of a hub as DCAT-AP-NL 3, in JSON-LD and Turtle: a dataset of each source, vintage of areas and release.

`catalog.json.j2` says what it holds; `catalog.ttl.j2` writes the same tree as Turtle.
"""

import json
from datetime import timedelta
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from aggregates.export.areas import LICENCES, supplier
from aggregates.store.store import Store
from ingest.vocabulary.quantities import QUANTITIES

MEDIA = {"json": "application/ld+json", "turtle": "text/turtle"}
_TEXTS = Environment(loader=FileSystemLoader(Path(__file__).parent), undefined=StrictUndefined, trim_blocks=True)
_TEXTS.policies["json.dumps_kwargs"] = {"ensure_ascii": False}  # other escapes than Turtle has


def catalog(store: Store, hub: str, form: str) -> str:
    """Describe in a form what a hub has, whose API is at an address."""
    rows = {"datasets": store.rows("list_datasets"), "releases": store.rows("list_release_datasets")}
    known = {"licences": LICENCES, "of_air": [one.name for one in QUANTITIES.values() if one.zone], "day": timedelta(1)}
    tree = json.loads(_TEXTS.get_template("catalog.json.j2").render(rows, hub=hub, supplier=supplier, **known))
    return _TEXTS.get_template("catalog.ttl.j2").render(tree=tree) if form == "turtle" else json.dumps(tree)
