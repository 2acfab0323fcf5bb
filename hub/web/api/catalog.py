"""
The catalogue of a hub as DCAT-AP-NL 3, in JSON-LD and Turtle: a dataset of each source, and of each vintage of areas.

Both are written from one tree: names with a prefix, nodes, and literals with a type or a language, as JSON-LD has them.
"""

import json
import tomllib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any

from aggregates.export.areas import LICENCES, supplier
from aggregates.store.store import Store
from ingest.vocabulary.quantities import QUANTITIES

TEXTS: Mapping[str, Any] = tomllib.loads(Path(__file__).with_name("catalog.toml").read_text("utf-8"))
MEDIA = {"json": "application/ld+json", "turtle": "text/turtle"}
Node = dict[str, Any]


def catalog(store: Store, hub: str) -> Node:
    """Describe what a hub has, whose API is at an address."""
    own = f"{hub}/catalog"
    same = {**TEXTS["everywhere"], "dct:publisher": {"@id": f"{own}#publisher", **TEXTS["publisher"]}}
    same["dct:creator"] = {"@id": f"{own}#publisher"}
    datasets = [_dataset(hub, row) | same for row in store.rows("list_datasets")]
    datasets += [_release(hub, row) | same for row in store.rows("list_release_datasets")]
    return {"@context": TEXTS["context"], "@id": own, **TEXTS["catalog"], **same, "dcat:dataset": datasets}


def _dataset(hub: str, row: tuple[Any, ...]) -> Node:
    source, vintage, licence, quantities, *span = row
    about = supplier(source)
    title = f"{about['title']}: {', '.join(quantities)}" if quantities else f"CBS areas and statistics of {vintage}"
    asked = f"areas?vintage={vintage}" if vintage else f"aggregates?source={source}&window=1h"
    identifier, words = (f"{source}-{vintage}", ["areas"]) if vintage else (source, quantities)
    said = {"id": identifier, "title": title, "description": f"{title}, with the evidence of every figure."}
    return _described(hub, said, words, span, asked, licence or about["licence"])


def _release(hub: str, row: tuple[Any, ...]) -> Node:
    name, title, quantities, made, *days, licence, citation = row
    span = [datetime.combine(day, time(), UTC) for day in days]
    said = {"id": f"release-{name}", "title": title, "description": citation}
    about = _described(hub, said, ["release", *quantities], span, "releases", licence)
    return {**about, "dct:issued": {"@value": made.isoformat(), "@type": "xsd:dateTime"}}


def _described(
    hub: str, said: Mapping[str, str], words: Sequence[str], span: Sequence[datetime], asked: str, licence: str
) -> Node:
    """Make the node of a dataset about quantities or areas, which is what the API answers when that is `asked`."""
    of_air = any(one in QUANTITIES and QUANTITIES[one].zone for one in words)
    theme = "areas" if "areas" in words else "air" if of_air else "traffic"
    first, last = (stamp.isoformat() for stamp in span)
    values = {**said, "hub": hub, "asked": asked, "theme": TEXTS["themes"][theme], "first": first, "last": last}
    known = next((address for name, address in LICENCES.items() if licence.startswith(name)), None)
    terms = {"@id": known} if known else {"@type": "dct:LicenseDocument", "rdfs:label": licence}
    forms = [_filled(TEXTS["distribution"], {**values, "media": media, "form": form})
             for media, form in TEXTS["formats"].items()]  # fmt: skip
    return {
        **_filled(TEXTS["dataset"], values), "dcat:keyword": [{"@value": word, "@language": "en"} for word in words],
        "dcat:distribution": [{**form, "dct:license": terms} for form in forms],
    }  # fmt: skip


def _filled(node: Any, values: Mapping[str, str]) -> Any:
    if isinstance(node, dict):
        return {name: _filled(value, values) for name, value in node.items()}
    return node.format_map(values)


def turtle(tree: Node) -> str:
    """Write a tree as Turtle."""
    prefixes = [f"@prefix {name}: <{address}> ." for name, address in tree["@context"].items()]
    said: list[str] = []
    _term({name: value for name, value in tree.items() if name != "@context"}, said)
    return "\n".join([*prefixes, *said, ""])


def _term(value: Any, said: list[str]) -> str:
    """Write a value where it stands; what is said of a node with an address is a statement of its own."""
    match value:
        case {"@value": text, "@language": language}:
            return f"{_quoted(text)}@{language}"
        case {"@value": text, "@type": kind}:
            return f"{_quoted(text)}^^{kind}"
        case {"@id": address}:
            if more := {name: one for name, one in value.items() if name != "@id"}:
                said.append(f"<{address}> {_properties(more, said)} .")
            return f"<{address}>"
        case dict():
            return f"[ {_properties(value, said)} ]"
    return _quoted(value)


def _properties(node: Node, said: list[str]) -> str:
    found = []
    for name, values in node.items():
        terms = [_term(value, said) for value in (values if isinstance(values, list) else [values])]
        found.append(f"a {values}" if name == "@type" else f"{name} {', '.join(terms)}")
    return " ;\n    ".join(found)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)  # whose escapes Turtle has too
