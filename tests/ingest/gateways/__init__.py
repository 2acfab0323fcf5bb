"""Tests of `ingest/gateways`."""
