"""The read-only HTTP API below `/api/v1`; `app` puts it together, `resources` says what there is."""
