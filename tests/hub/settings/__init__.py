"""Tests of `hub/settings`."""
