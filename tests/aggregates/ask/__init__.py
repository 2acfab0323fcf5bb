"""Tests of `aggregates/ask`."""
