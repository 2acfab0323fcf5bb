"""
One batch in one transaction: quality flags, readings, 5-minute rows, marks, accounting, dead letters.

Read `pipeline` first; it calls the others in this order: `identities`, `series`, `quality`, `windows`, `totals`,
`recompute`, `accounting`. Before: `streams.worker` takes batches off the log. After: `streams.alerts` judges in the
same transaction, and `streams.rollup` makes hours and days from the marks.
"""
