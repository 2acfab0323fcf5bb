"""Tests of `aggregates.release`."""
