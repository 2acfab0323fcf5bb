"""
Messages that their source names and that are stamped on receipt: the same again is stamped as it was the first time.

`streams.commit.pipeline` calls `first_received` before the transaction of a batch: its readings are duplicates then.
What is noted stays noted when that transaction fails, so that the message is stamped alike when it comes again.
"""

import numpy as np
import pyarrow as pa

from aggregates.store.store import Store, unnested
from ingest.vocabulary.batch import Batch, coded, numbers
from ingest.vocabulary.readings import Identity


def first_received(store: Store, batch: Batch) -> Batch:
    """
    Give the batch with the stamps of first receipt, and without its identities; raises StoreError.

    Of two messages of a sensor that came at one moment nothing tells whose a reading is: they stay as they are.
    """
    if not batch.identities:
        return batch
    noted = store.rows("note_identities", **unnested(batch.identities, Identity.__struct_fields__))
    known = {(sensor_id, start): first for sensor_id, start, first in noted}
    sensors = coded(batch.readings, "sensor_id")
    pairs, at = np.unique(np.stack([sensors.codes, numbers(batch.readings, "start")]), axis=1, return_inverse=True)
    stamps = [known.get((sensors.words[code], start), start) for code, start in pairs.T.tolist()]
    place = batch.readings.schema.get_field_index("start")
    field = batch.readings.schema.field(place)
    moved = pa.array(np.array(stamps, np.int64)[at.reshape(-1)]).cast(field.type)
    return Batch(batch.readings.set_column(place, field, moved), batch.sensors, batch.dead_letters)
