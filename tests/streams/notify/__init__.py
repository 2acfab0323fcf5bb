"""Tests of `streams/notify`."""
