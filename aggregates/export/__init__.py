"""
Rows as files: tables in every form, areas, and the whole hub.

Read in this order: `objects` (rows as JSON), `sheets` (tables as a workbook), `forms` (tables as these, CSV, Parquet,
...), `areas` (areas and their figures, with licences), `plan` (which files an export has, and its journal), `export`
(writes them). Rows come from `aggregates.ask` and `aggregates.areas`; the command line and the API write their answers
with `forms` too.
"""
