"""Tests of `hub/web/live`."""
