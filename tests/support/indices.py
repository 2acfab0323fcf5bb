"""The air-quality index of one hour, for tests that hold other figures against it."""

from collections.abc import Mapping

import numpy as np

from ingest.vocabulary.air_index import index_of


def index_of_hour(name: str, means: Mapping[str, float | None]) -> int | None:
    """
    Give the index of one hour from its means in ug/m3, None where none of its substances was measured.

    >>> index_of_hour("lki", {"no2": 31.0, "pm10": None}), index_of_hour("lki", {"co": 1.0})
    (4, None)
    """
    found = index_of(name, {one: np.array([mean], np.float64) for one, mean in means.items()})
    return None if np.isnan(found).all() else int(found[0])
