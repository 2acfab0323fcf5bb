"""Tests of `aggregates/export`."""
