"""Tests of `aggregates/store`."""
