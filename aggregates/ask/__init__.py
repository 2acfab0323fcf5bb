"""
Questions to the store; nothing here changes anything.

Read `series` first (which series a question is about, and their rows in pieces), then `query` (windows with their
evidence) and `readings`. Of areas: `indicators` (pure), `areas` (list, join with statistics) and `stored_indicators`
(indicators with the windows they need). `dates` reads dates and local time of
questions, and puts them into answers. For the API: `columns` (name, type, meaning) and `listings` (pages of every
kind). For the live page: `live`. Before: `streams` and `aggregates.areas` write. After: `aggregates.export`, `hub.cli`
and `hub.web` show the answers.
"""
