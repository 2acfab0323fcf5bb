"""
What the page knows before it fetches anything: its words, the classes of its colours, and what the hub has.

`words.toml` has every text in each language, `classes.toml` the classes, which are the same at every hour so that
pictures can be compared. `hub.web.live.mount` writes all of it into the page.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

from aggregates.ask.live import LENSES
from aggregates.store.errors import StoreError
from hub.settings.settings import Settings
from hub.web.api.answers import Stores
from hub.web.api.problems import Problem
from ingest.vocabulary.air_index import INDICES
from ingest.vocabulary.quantities import QUANTITIES
from ingest.vocabulary.readings import Flag
from ingest.vocabulary.values import shipped_toml
from streams.alerts.unusual import EDGES

LANGUAGES = ("nl", "en")


def known(stores: Stores, settings: Settings, language: str) -> dict[str, object]:
    """Give what the scripts must know; with the database away nothing is measured, drawn or told."""
    try:
        asked = ("live_choices", "live_levels", "live_measures", "may_act")
        measured, drawn, told, ((may,),) = stores.ask(lambda store: [store.rows(name) for name in asked])
    except (StoreError, Problem):
        measured, drawn, told, may = [], [], [], False
    return {
        "language": language, "words": words(language), "zone": settings.timezone,
        "levels": [level for (level,) in drawn], "measures": [name for (name,) in told],
        "measured": [name for name, _, _ in measured], "shortest": {name: period for name, _, period in measured},
        "quantities": dict(QUANTITIES), "lenses": {name: lens.length.total_seconds() for name, lens in LENSES.items()},
        "flags": {flag.name: flag.value for flag in Flag}, "may_act": may and not settings.public,
        "usual_edges": EDGES, "classes": classes(), "tiles": settings.map_tiles,
        "attribution": settings.map_attribution,
    }  # fmt: skip


@cache
def words(language: str) -> Mapping[str, str]:
    """Read the words of one language by `section.key`, those of the section `page` by their key alone."""
    return {
        key if section == "page" else f"{section}.{key}": texts[language]
        for section, entries in shipped_toml(__file__, "words.toml").items()
        for key, texts in entries.items()
    }


@cache
def classes() -> Mapping[str, Any]:
    """
    Give `schemes` of air by name, each with its `colours` and the upper ends of its classes by quantity, and `fixed`.

    The ends are given, or those of an index of `ingest.vocabulary.air_index` with the numbers `last`.

    >>> classes()["schemes"]["lki"]["bounds"]["no2"]
    [30.0, 75.0, 125.0]
    """
    table = shipped_toml(__file__, "classes.toml")
    for one in table["scheme"].values():
        if "index" in one:
            ends = INDICES[one.pop("index")].bounds
            last = one.pop("last")
            one["bounds"] = {name: [numbers[at - 1] for at in last] for name, numbers in ends.items()}
    return {"schemes": table["scheme"], "fixed": table["fixed"]}
