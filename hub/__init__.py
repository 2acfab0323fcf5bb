"""
The hub: puts the other packages together, and is what users see.

In the order in which they build on each other: `settings`, then `servers` (the broker and database of an embedded hub),
`web` (the API and the live page), `run` (what runs), `grafana`, and `cli`, the command line. The hub uses
`ingest`, `aggregates` and `streams`; `lab` uses the hub.
"""
