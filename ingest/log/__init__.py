"""
Batches on their way to the store: queued in memory (`queue`, the log of the embedded hub), or through Kafka.

`records` are a batch cut up by partition, `topics` where they go, and `kafka` puts them there. `ingest.collector` puts
batches here; `streams.worker` takes them off Kafka and has them committed.
"""
