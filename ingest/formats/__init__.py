"""
Payloads to readings.

- `decode`: messages to a batch, every failure to the dead letters; payload formats register here
- `xml`: XML that may be hostile, parsed in bounded memory
- `mapping_schema`: what a mapping file may hold
- `local_time`: local stamps in the nights that clocks change
- `pointers`: how it points into a document
- `mapping_reader`: reads messages by a mapping file
- `registry`: loads all formats: the modules of `coded`, the files in `mappings/`, and the user's own
- `coded`: the formats that need code, one module each

Messages come from `ingest.mqtt`; the batches go to `ingest.log`. docs/adding-a-format.md shows how to add one.
"""
