"""
Batches on their way to the store: queued in memory, or through Kafka.

- `queue`: the bounded queue in memory, which is the log of the embedded hub
- `records`: a batch cut into records by partition, and read again
- `kafka_login`: how Kafka lets a client in
- `topics`: the topics of the log, and how far they reach
- `kafka`: batches onto Kafka

`ingest.collector` puts batches here; `streams.worker` takes them off Kafka and has them committed.
"""
