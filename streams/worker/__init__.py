"""
Where batches come from: the log in memory of the embedded hub, or Kafka through Faust.

Read `embedded` first: a thread that stores what waits. Distributed: `worker` (one record from Kafka to the commit),
`faust_app` (Faust's settings), `partitions` (offsets after a rebalance, counts), `order` (no gap, no repetition).
Before: `ingest.log`. After: `streams.commit.pipeline` stores the batch; the log position is committed with it.
"""
