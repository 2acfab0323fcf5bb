"""
The HTTP API below `/api/v1`; it reads, and with the token it acknowledges and silences alerts.

A request goes through these modules: `app` (routes, who may read, what may be changed), `parameters` (what may be
asked), `resources` (the lists: columns, key and rows of each), `answers` (rows to a response), with `paging` (pages,
cursors, and a file of bounded memory). Errors are `problems`, `document` is the OpenAPI document, `catalog` says what
the hub has. Rows come from `aggregates.ask`; `aggregates.export.forms` writes them.
"""
