"""Tests of `aggregates`."""
