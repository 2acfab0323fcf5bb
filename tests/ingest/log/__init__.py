"""Tests of `ingest/log`."""
