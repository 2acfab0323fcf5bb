"""
Questions to the store; nothing here changes anything.

Read `dates` first (dates and local time in questions and answers), then `series` (which series a question is about,
and their rows in pieces) and `query` (windows with their evidence, and readings). Of areas: `areas` (their list and
windows), `indicators` (pure) and `area_figures` (windows beside statistics, indicators of the store). For the API:
`listings` (pages of every kind, and their columns). For the live page: `live`. Before: `streams` and
`aggregates.areas` write. After: `aggregates.export`, `hub.cli` and `hub.web` show the answers.
"""
