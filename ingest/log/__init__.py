"""Batches on their way: a queue in memory, or Kafka."""
