"""Tests of what everybody uses: see `ingest.vocabulary`."""
