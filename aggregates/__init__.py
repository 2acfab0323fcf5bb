"""
The store and what is asked of it.

Read the folders in this order: `store` (transactions and named statements), `areas` (boundaries and CBS statistics,
sensors placed in them), `ask` (questions about series, windows, readings and areas), `export` (answers as files),
`release` (figures that are published). Each uses only those before it.

`schema/` has the numbered migrations (tables, forward only), then what each migration makes again: views, functions,
grants. `sql/` has the statements, a file for each job. In the order of a reading: `session`, `migrate`, `catalogue`,
`series`, `write`, `accounting`, `dead_letters`, `roll_up`, `reconcile`, `retention`, `views`; then `area_load`,
`area_roll`, `alerts`, `alert_clock`, `outbox`, `operators`; then what is asked: `ask`, `averages`, `percentiles`,
`limits`, `area_ask`, `list`, `live`, `history`, `release`, `export`, `sta`, `health`, `lab`. Before: `ingest` has the
vocabulary. After: `streams` writes, `hub` asks.
"""
