"""Tests of `aggregates/areas`."""
