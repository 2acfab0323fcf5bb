"""Tests of `hub/grafana`."""
