"""
The catalogue of sensors in the store.

`stadspuls sensors import` and the simulated city fill it by hand; `streams.commit.series` adds what messages say.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from aggregates.store.store import Store, unnested
from ingest.files.catalogue import Entry


def import_sensors(store: Store, entries: Sequence[Entry]) -> None:
    """Write entries over what is known of their sensors; what they leave out stays. Raises `StoreError`."""
    columns = unnested(entries, Entry.__struct_fields__)
    columns["overrides"] = [msgspec.json.encode(entry.overrides or {}).decode() for entry in entries]
    with store.transaction() as tx:
        tx.rows("import_sensors", **columns)
        tx.rows("advance_catalogue_version")


def sensors(store: Store, source: str | None = None, after: str = "", limit: int = 10_000) -> list[dict[str, Any]]:
    """List sensors by id, from the one behind `after`; those without a place are among them."""
    names = ("sensor_id", "name", "kind", "lon", "lat", "lanes", "inferred", "catalogued", "series")
    rows = store.rows("list_catalogue", source=source, after=after, limit=limit)
    return [dict(zip(names, row, strict=True)) for row in rows]
