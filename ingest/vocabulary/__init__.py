"""
What everybody uses, without a view of the world outside: nothing here waits, reads a clock or opens a connection.

- `quantities`: what is measured, with unit, plausible range, aggregation and validity
- `sources`: who supplies messages, with time convention, class and topics
- `readings`: a message, a reading, a fact about a sensor
- `values`: numbers, stamps and lengths of time out of text of others, and such text made fit to show
- `dead_letters`: what could not be taken, with the reason
- `batch`: many readings as columns
- `air_index`: the air-quality indices of an hour
- `toml`: files of settings, read into structs
- `backoff`: how long to wait before trying again

Before it is nothing of ours; `ingest.formats` comes next.
"""
