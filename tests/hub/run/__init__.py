"""Tests of `hub/run`."""
