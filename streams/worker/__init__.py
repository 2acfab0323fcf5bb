"""
Takes batches off Kafka through Faust; the embedded hub stores those of `ingest.log.queue` instead.

Read `worker` first (one record from Kafka to the commit), then `faust_app` (Faust's settings), `partitions` (offsets
after a rebalance, no gap, no repetition, counts). Before: `ingest.log`. After: `streams.commit.pipeline` stores the
batch; the log position is committed with it.
"""
