"""
Questions to the store; nothing here changes anything.

Read `dates` first (dates and stamps of questions), then `series` (which series a question is about, and their rows in
pieces, with local time), `areas` (windows of areas) and `query` (windows with their evidence, and readings). Then
`listings` (pages of every kind and their columns, for the API; areas and their figures beside statistics). Over days
of a kind: `periods` (which days and hours; pure) and `averages`; of a year of air: `limits`; of an area: `indicators`.
For the live page: `live`. Before: `streams` and `aggregates.areas` write. After: `aggregates.export`, `hub.cli` and
`hub.web` show the answers.
"""
