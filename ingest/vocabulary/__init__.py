"""
What everybody uses, without a view of the world outside: nothing here waits, reads a clock or opens a connection.

Registries: `quantities`, `sources`, `air_index`. What travels: `readings` (messages, readings, facts), `batch` (many
readings as columns, with dead letters beside). Text of others, and files of settings: `values`. Time: `calendar` (the
kind of each day), `backoff` (how long to wait). Before it is nothing of ours; `ingest.formats` comes next.
"""
