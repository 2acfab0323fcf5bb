"""Payload formats that need code, one module each; formats that do not are mapping files in `ingest/mappings/`."""
