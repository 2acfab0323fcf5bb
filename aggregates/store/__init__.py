"""
The database door: the only folder that knows psycopg.

Read `store` first (transactions, statements, COPY), with its `errors`, then `statements` (the files of
`aggregates/sql/`), `binary` (arrays as PostgreSQL's rows) and `migrate` (the schema). Small questions stand beside
them: `catalogue` (sensors) and `health`. Before: `ingest.vocabulary` defines quantities and sources. After:
`streams.commit` writes through this door, `aggregates.ask` reads through it.
"""
