"""Tests of `streams/commit`."""
