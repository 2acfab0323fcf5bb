"""
Alert rules, and the alerts that they raise on the windows that changed.

Read in this order. Rules: `rulebook` (what a rule is, and the files in `rules/*.toml`). From windows to alerts,
pure: `episodes`, `comparison` (also with what is usual for an hour). With the store: `frames` (windows), `store`
(alerts), `unjudged` (what failed or is due), `judge` (all together), `clock` (once a minute). For people: `unusual` (an
hour of every sensor beside what is usual). Before: `streams.commit` and `streams.rollup` call the judge in their
transactions. After: `streams.notify` sends the outbox.
"""
