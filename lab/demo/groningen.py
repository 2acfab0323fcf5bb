"""
The real Groningen beneath the simulated city: boundaries, statistics, and a base map of its roads.

`lab.demo.demo` loads it. `map/` has the files, and says where each is from and under which licence.
"""

import shutil
from importlib.resources import files
from pathlib import Path

from aggregates.areas.codes import BASE_MAP
from aggregates.areas.inputs import Document, gather
from aggregates.areas.load import load
from aggregates.areas.roll_up import place_sensors
from aggregates.store.store import Store

CODE, VINTAGE = "GM0014", 2024
_FILES = files("lab.demo").joinpath("map")
_AREAS = ("buurten.geojson", "kerncijfers.json")


def load_groningen(store: Store, directory: Path) -> None:
    """Load areas and statistics, and put the base map into a data directory that has none; raises `StoreError`."""
    documents = [Document(name, _FILES.joinpath(name).read_bytes()) for name in _AREAS]
    load(store, VINTAGE, [CODE], gather(documents, VINTAGE, [CODE]))
    place_sensors(store)
    if not (directory / BASE_MAP).exists():
        shutil.copyfile(str(_FILES.joinpath(BASE_MAP)), directory / BASE_MAP)
