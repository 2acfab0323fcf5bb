"""Tests of `hub/cli`."""
