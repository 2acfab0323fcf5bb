"""
What follows the commit: hours and days, their proof, and retention.

Read `rollup` (hours and days from marked hours), `derived` (flags that follow from other readings), `reconcile` (stream
against batch), then `retention` (drop, freeze and unfreeze days). Before: `streams.commit` marks the hours. After:
`aggregates.areas` makes figures of areas, and `aggregates.ask` answers from the rows written here. `hub.run.upkeep`
calls all of it.
"""
