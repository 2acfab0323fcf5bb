"""Tests of `ingest/formats`."""
