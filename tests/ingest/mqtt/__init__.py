"""Tests of `ingest/mqtt`."""
