"""
Batches from the log to figures, alerts and notifications.

Read the folders in this order: `commit` stores one batch in one transaction, `alerts` judges the rules on the windows
that changed, `rollup` makes hours and days and proves them, `worker` takes batches off the log, `notify` sends
notifications. Each folder uses only those before it; nothing uses `notify` but the hub. Before: `ingest` puts batches
on the log. After: `aggregates` answers questions from what is stored.
"""
