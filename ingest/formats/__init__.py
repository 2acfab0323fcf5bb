"""
Payloads to readings.

- `decode`: messages to a batch, every failure to the dead letters; payload formats register here
- `xml`: XML that may be hostile, parsed in bounded memory
- `pointers`: how a mapping file points into a document
- `cells`: words and numbers as suppliers write them
- `stamps`: stamps as suppliers write them (`words.toml` has zones and months), and local ones when clocks change
- `mapping_schema`: what a mapping file may hold
- `documents`: payloads to documents: JSON, the rows of a CSV, the records of SenML
- `parts`: the parts of a document, the rule that takes each, and what no rule reads
- `states`: what the values of a part mean: a value, nothing to measure, or failed
- `mapping_reader`: reads messages by a mapping file
- `registry`: loads all formats: the modules of `coded`, the files in `mappings/`, and the user's own
- `coded`: the formats that need code, one module each

Messages come from `ingest.mqtt`; the batches go to `ingest.log`. docs/adding-a-format.md shows how to add one.
"""
