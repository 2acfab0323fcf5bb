"""Tests of `streams/alerts`."""
