"""
Alert rules, and the alerts that they raise on the windows that changed.

Read in this order. Rules: `rulebook` (the packs in `rules/*.toml`), `calendar` (what is usual for an hour). From
windows to alerts, pure: `comparison`, `episodes`. With the store: `frames` (windows), `store` (alerts), `unjudged`
(what failed or is due), `judge` (all together), `clock` (once a minute). Before: `streams.commit` and `streams.rollup`
call the judge in their transactions. After: `streams.notify` sends the outbox.
"""
