"""Where batches come from: the embedded log, or Kafka through Faust."""
