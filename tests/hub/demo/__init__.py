"""Tests of `hub/demo`."""
