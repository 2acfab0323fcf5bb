"""Tests of `lab/demo`."""
