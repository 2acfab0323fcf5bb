"""
The catalogue of sensors in the store: its import.

`stadspuls sensors import` and the simulated city import it; `streams.commit.series` adds what messages contain.
"""

from collections.abc import Sequence

import msgspec

from aggregates.store.store import Store, unnested
from ingest.files.catalogue import Entry


def import_sensors(store: Store, entries: Sequence[Entry]) -> None:
    """Replace what is known of sensors by their entries; what an entry leaves out stays. Raises `StoreError`."""
    columns = unnested(entries, Entry.__struct_fields__)
    columns["overrides"] = [msgspec.json.encode(entry.overrides or {}).decode() for entry in entries]
    with store.transaction() as tx:
        tx.rows("import_sensors", **columns)
        tx.rows("set_series_heads", sensor_id=columns["sensor_id"])
        tx.rows("advance_catalogue_version")
