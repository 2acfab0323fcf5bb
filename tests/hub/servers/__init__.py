"""Tests of `hub/servers`."""
