"""The database door: schema, statements, transactions."""
